"""Images with more than 8 bits a channel."""

import sys

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from keras_ctsdg.inpainting import Image16, InpaintOptions, save_image
from keras_ctsdg.inpainting.batch import InpaintBatch
from tests.inpainting.common import FILL_COLOR, ConstantModel
from tests.inpainting.kinds import ALPHA16, DEEP

pytestmark = pytest.mark.backend_independent
HOLE = np.zeros((40, 50), bool)
HOLE[10:20, 12:30] = True


def write_png(path, array):
    path.write_bytes(imagecodecs.png_encode(array))
    return path


def test_16_bits_are_filled_and_kept(tmp_path):
    path = write_png(tmp_path / "a.png", DEEP)
    filled = ConstantModel().inpaint(path, HOLE)
    assert isinstance(filled, Image16)
    assert (filled.mode, filled.size) == ("16-bit", (50, 40))
    levels = np.asarray(filled)
    assert levels.dtype == np.uint16
    np.testing.assert_array_equal(levels[~HOLE], DEEP[~HOLE])
    np.testing.assert_allclose(levels[HOLE] / 257, [FILL_COLOR] * HOLE.sum(), atol=0.6)
    in_memory = ConstantModel().inpaint(path.read_bytes(), HOLE)
    np.testing.assert_array_equal(np.asarray(in_memory), levels)
    (again,) = ConstantModel().inpaint([filled], [~HOLE])
    np.testing.assert_array_equal(np.asarray(again)[HOLE], levels[HOLE])
    for name in ("b.png", "b.tif"):
        save_image(filled, tmp_path / name, like=path)
    np.testing.assert_array_equal(
        imagecodecs.png_decode((tmp_path / "b.png").read_bytes()), levels
    )
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), levels)


def test_transparent_pixels_of_16_bits_are_filled(tmp_path):
    array = ALPHA16.copy()
    array[..., 3] = np.where(HOLE, 0, 65535)
    path = write_png(tmp_path / "a.png", array)
    found = np.asarray(ConstantModel().inpaint(path))
    assert (found[..., 3] == 65535).all()
    np.testing.assert_array_equal(found[~HOLE], array[~HOLE])
    assert (found[HOLE, :3] != array[HOLE, :3]).any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("orientation", [3, 6])
def test_mask_is_oriented_as_the_image_is_displayed(tmp_path, orientation):
    path, out = tmp_path / "a.tif", tmp_path / "b.png"
    tags = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(path, DEEP, photometric="rgb", extratags=tags)
    shown = np.rot90(HOLE, -1 if orientation == 6 else 2).copy()
    save_image(ConstantModel().inpaint(path, shown), out, like=path)
    found = imagecodecs.png_decode(out.read_bytes())
    np.testing.assert_array_equal(found[~HOLE], DEEP[~HOLE])
    assert (found[HOLE] != DEEP[HOLE]).any(axis=-1).mean() > 0.9
    with Image.open(out) as saved:
        assert saved.getexif()[0x0112] == orientation
    again = np.asarray(ConstantModel().inpaint(out, shown))
    np.testing.assert_array_equal(again, found)


def write_pages(path):
    for _ in range(2):
        tifffile.imwrite(path, DEEP, photometric="rgb", append=True)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        (
            "a.ppm",
            lambda path: path.write_bytes(
                b"P6 50 40 65535\n" + DEEP.astype(">u2").tobytes()
            ),
            "it has 16 bits a channel, of which PPM files are read with 8 only",
        ),
        (
            "a.jp2",
            lambda path: path.write_bytes(
                imagecodecs.jpeg2k_encode(DEEP, codecformat="jp2", level=0)
            ),
            "it has 16 bits a channel, of which JPEG2000",
        ),
        (
            "a.avif",
            lambda path: path.write_bytes(
                imagecodecs.avif_encode(DEEP >> 6, bitspersample=10)
            ),
            "it has 10 bits a channel, of which AVIF",
        ),
        (
            "gray.tif",
            lambda path: tifffile.imwrite(path, DEEP[..., 0] >> 4, bitspersample=12),
            "it has 12 bits a channel, of which TIFF",
        ),
        ("pages.tif", write_pages, "16 bits a channel and more than one frame"),
        (
            "cmyk.tif",
            lambda path: tifffile.imwrite(path, ALPHA16, photometric="separated"),
            "those of unsigned gray, RGB or RGBA pixels are read",
        ),
    ],
)
def test_bits_that_are_not_read_are_refused(tmp_path, name, write, message):
    path, mask = tmp_path / name, tmp_path / "mask.png"
    write(path)
    Image.fromarray(HOLE).save(mask)
    with pytest.raises(ValueError, match=f"{message}.*Received: .*{name}"):
        ConstantModel().inpaint(path, HOLE)
    (tmp_path / "images").mkdir()
    path.rename(tmp_path / "images" / name)
    batch = InpaintBatch(tmp_path / "images", mask, tmp_path / "out")
    batch.run(ConstantModel(), InpaintOptions())
    (reason,) = batch.report.failed.values()
    assert message.split(" of which")[0] in reason or "frames, of which" in reason


def test_missing_extra_is_named_before_the_model_is_needed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    mask = tmp_path / "mask.png"
    Image.fromarray(HOLE).save(mask)
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb")
    message = r'pip install "keras-ctsdg\[16bit\]"'
    path = write_png(tmp_path / "a.png", DEEP)
    with pytest.raises(ValueError, match=message):
        ConstantModel().inpaint(path, HOLE)
    with pytest.raises(ValueError, match=message):
        InpaintBatch(path, mask, tmp_path / "b.png")
    with pytest.raises(ImportError, match=message):
        InpaintBatch(tmp_path / "a.tif", mask, tmp_path / "b.png")
    # A TIFF without compression does without it.
    batch = InpaintBatch(tmp_path / "a.tif", mask, tmp_path / "b.tif")
    batch.run(ConstantModel(), InpaintOptions())
    assert batch.report.failed == {}
