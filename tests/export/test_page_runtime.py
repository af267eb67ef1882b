"""The page of the package's preset in a real browser, run by ONNX Runtime Web."""

import keras
import numpy as np
import pytest
from PIL import Image

import keras_ctsdg
from keras_ctsdg.export.check import MIN_PSNR
from keras_ctsdg.export.graph import FillImage
from keras_ctsdg.export.web import npm_package
from tests.common import to_numpy
from tests.demo.browser import fill, needs_chromium, paint
from tests.export.test_files import is_installed, psnr_in_hole
from tests.export.web import download, open_own_page, open_photo, read_strokes
from tests.inpainting.common import PHOTO

pytestmark = [
    pytest.mark.slow,
    needs_chromium,
    pytest.mark.skipif(
        keras.backend.backend() != "torch", reason="ONNX is written on PyTorch"
    ),
    pytest.mark.skipif(not is_installed("onnx"), reason="needs keras-ctsdg[onnx]"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    try:
        npm_package.find_package()
    except OSError as error:
        pytest.skip(str(error))
    model = keras_ctsdg.from_preset("demo", with_discriminator=False)
    path = tmp_path_factory.mktemp("web") / "page"
    model.export(path, "web")
    return model, path


def fill_photo(exported, photo, tmp_path):
    """Fill a photo in the browser; return the hole and the filled photo."""
    Image.fromarray(photo).save(tmp_path / "photo.png")
    with open_own_page(exported[1]) as page:
        open_photo(page, tmp_path / "photo.png")
        paint(page, (0.2, 0.3), (0.5, 0.4))
        paint(page, (0.6, 0.8), (0.7, 0.7))
        fill(page)
        assert "on the CPU;" in page.locator("#status").inner_text()
        hole = read_strokes(page)
        _, found = download(page)
    assert hole.sum() > 500
    np.testing.assert_array_equal(found[~hole], photo[~hole])
    return hole, found


def test_fills_as_keras_does(exported, tmp_path):
    photo = np.ascontiguousarray(PHOTO[::2, ::2])
    hole, found = fill_photo(exported, photo, tmp_path)
    mask = hole[None, ..., None].astype("uint8")
    outputs = FillImage(exported[0])({"image": photo[None], "mask": mask})
    expected = to_numpy(outputs)["filled"][0]
    assert psnr_in_hole(found, expected, hole[..., None], 255) > MIN_PSNR["float16"]
    assert found[hole].std() > 5


def test_large_photos_are_filled_as_inpaint_does(exported, tmp_path):
    photo = np.ascontiguousarray(np.tile(PHOTO, (1, 2, 1))[:500, :900])
    hole, found = fill_photo(exported, photo, tmp_path)
    expected = keras_ctsdg.from_preset(exported[1]).inpaint(photo, hole)
    fits = ~hole | (np.abs(found.astype(int) - expected) <= 2).all(-1)
    assert fits[hole].mean() > 0.99
    assert psnr_in_hole(found, expected, hole[..., None], 255) > 40
