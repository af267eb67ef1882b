import warnings

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import binary_erosion

import keras_ctsdg
from keras_ctsdg.data import gray_and_edge
from keras_ctsdg.models import Discriminator, Generator
from tests.common import EAGER_ON_TENSORFLOW
from tests.inpainting.common import (
    DTYPES,
    FILL_COLOR,
    MODES,
    PHOTO,
    ConstantModel,
    random_hole,
    to_dtype,
    to_mode,
)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    model = keras_ctsdg.CTSDG(Generator(filters=4), Discriminator(filters=4))
    model.run_eagerly = EAGER_ON_TENSORFLOW
    return model


@pytest.mark.backend_independent
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    height=st.integers(16, 700),
    width=st.integers(16, 700),
    kind=st.sampled_from((*MODES, *DTYPES)),
    strategy=st.sampled_from(("auto", "full", "crop", "resize")),
    feather=st.sampled_from((0, 5)),
    seed=st.integers(0, 1000),
)
def test_kind_size_and_pixels_outside_the_hole_are_kept(
    height, width, kind, strategy, feather, seed
):
    levels = np.resize(PHOTO[: min(height, 512), : min(width, 512)], (height, width, 3))
    mask = random_hole(height, width, seed)
    image = to_dtype(levels, kind) if kind in DTYPES else to_mode(levels, kind)
    before = np.array(image)
    options = {"strategy": strategy, "feather": feather, "memory_limit": 20}
    found = ConstantModel().inpaint(image, mask, **options)
    np.testing.assert_array_equal(before, image)
    after = np.asarray(found)
    assert after.dtype == before.dtype
    assert after.shape == before.shape
    np.testing.assert_array_equal(after[~mask], before[~mask])
    if kind in MODES:
        assert (found.mode, found.size) == (image.mode, image.size)
    if kind in ("LA", "RGBA", "PA"):
        np.testing.assert_array_equal(after[..., -1], before[..., -1])
    # Resampling blends the rim of the hole with the pixels beside it.
    if kind in ("RGB", "uint8") and not feather:
        deep = mask
        if strategy in ("auto", "resize"):
            deep = binary_erosion(mask, np.ones((3, 3)), iterations=3, border_value=1)
        # A small hole has no deep pixels.
        expected = np.broadcast_to(FILL_COLOR, (deep.sum(), 3))
        np.testing.assert_allclose(after[deep], expected, atol=6)


@pytest.mark.parametrize(
    ("edges", "sigma"), [("clean", 2.0), ("wrapped", 2.0), ("clean", 1.0)]
)
def test_full_on_a_multiple_equals_predict(model, edges, sigma):
    mask = random_hole(128, 256, 0)
    levels = PHOTO[:128, :256]
    image = levels.astype("float32") / np.float32(127.5) - np.float32(1)
    gray, edge = gray_and_edge(image, edges, sigma, mask)
    batch = {"image": image, "gray": gray, "edge": edge}
    batch = {key: x[None] for key, x in batch.items()}
    batch["mask"] = mask[None, ..., None].astype("float32")
    expected = (model.predict(batch, verbose=0)[0] + 1) / 2
    try:
        model.edges, model.sigma = edges, sigma
        floats = model.inpaint(levels / 255.0, mask, strategy="full")
        whole = model.inpaint(levels, mask, strategy="full")
    finally:
        model.edges, model.sigma = "clean", 2.0
    np.testing.assert_allclose(floats, expected, atol=1e-5)
    np.testing.assert_allclose(whole, expected * 255, atol=0.51)


@pytest.mark.parametrize("size", [(128, 256), (100, 190)])
def test_crop_and_auto_equal_full_if_one_crop_covers_the_image(model, size):
    levels, mask = PHOTO[: size[0], : size[1]], random_hole(*size, 1)
    full = model.inpaint(levels, mask, strategy="full")
    for strategy in ("crop", "auto"):
        found = model.inpaint(levels, mask, strategy=strategy)
        np.testing.assert_array_equal(found, full)
    assert (full[mask] != levels[mask]).any(axis=-1).mean() > 0.9


def test_list_batch_and_path_equal_single_images(model, tmp_path):
    levels = np.stack([PHOTO[:100, :120], PHOTO[200:300, 100:220]])
    masks = np.stack([random_hole(100, 120, i) for i in range(2)])
    single = [model.inpaint(*pair) for pair in zip(levels, masks, strict=True)]
    for batch_masks in (masks, masks[..., None], list(masks)):
        found = model.inpaint(levels, batch_masks)
        np.testing.assert_array_equal(found, np.stack(single))
    Image.fromarray(levels[0]).save(tmp_path / "0.png")
    Image.fromarray(masks[0]).save(tmp_path / "mask.png")
    found = model.inpaint([tmp_path / "0.png", levels[1]], list(masks))
    np.testing.assert_array_equal(np.asarray(found[0]), single[0])
    np.testing.assert_array_equal(found[1], single[1])
    found = model.inpaint(str(tmp_path / "0.png"), tmp_path / "mask.png")
    np.testing.assert_array_equal(np.asarray(found), single[0])
    shared = model.inpaint(levels, masks[0][..., None])
    np.testing.assert_array_equal(shared[0], single[0])
    # A batch of grayscale images has an axis for the single channel.
    gray = model.inpaint(levels[..., :1], masks)
    assert gray.shape == (2, 100, 120, 1)


@pytest.mark.backend_independent
def test_mask_formats_are_equivalent():
    image, mask = PHOTO[:60, :80], random_hole(60, 80, 0)
    expected = ConstantModel().inpaint(image, mask)
    for other in (
        mask[..., None],
        mask.astype("uint8"),
        mask.astype("int64"),
        mask.astype("uint8") * 255,
        mask * 0.6,
        Image.fromarray(mask),
    ):
        np.testing.assert_array_equal(ConstantModel().inpaint(image, other), expected)
    found = ConstantModel().inpaint(image, ~mask, invert_mask=True)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="must reach `threshold`.*threshold=0.7"):
        ConstantModel().inpaint(image, mask * 0.6, threshold=0.7)


@pytest.mark.backend_independent
def test_dilate_and_feather_by_hand():
    image = np.zeros((64, 64))
    mask = np.zeros((64, 64))
    mask[20:40, 20:40] = 1
    white = ConstantModel((1, 1, 1))
    grown = white.inpaint(image, mask, dilate=3)
    expected = np.zeros((64, 64))
    expected[17:43, 17:43] = 1
    np.testing.assert_allclose(grown, expected, atol=1e-6)
    soft = white.inpaint(image, mask, feather=3)
    row = [0, 0.25, 0.5, 0.75, 1, 1]
    np.testing.assert_allclose(soft[30, 19:25], row, atol=1e-6)
    np.testing.assert_array_equal(soft[mask == 0], 0)


def test_values_in_the_hole_have_no_influence(model):
    mask = random_hole(100, 150, 2)
    image = PHOTO[:100, :150] / 255.0
    found = []
    for paint in (0.0, 1.0, np.nan, 1e9):
        image[mask] = paint
        found.append(model.inpaint(image, mask, strategy="full"))
        np.testing.assert_array_equal(found[-1], found[0])
    small = [
        model.inpaint(
            np.where(mask[..., None], x, image), mask, strategy="resize", size=128
        )
        for x in (0.0, 1.0)
    ]
    np.testing.assert_allclose(*small, atol=1e-5)
    assert np.isfinite(small[0]).all()


@pytest.mark.backend_independent
def test_alpha_is_the_mask_if_none_is_given():
    hole = random_hole(50, 70, 0)
    alpha = np.where(hole, 0, 255).astype("uint8")
    image = np.dstack([PHOTO[:50, :70], alpha])
    for kind in (image, Image.fromarray(image)):
        found = np.asarray(ConstantModel().inpaint(kind))
        assert (found[..., 3] == 255).all()
        expected = ConstantModel().inpaint(image[..., :3], hole)
        np.testing.assert_array_equal(found[..., :3], expected)
    palette = to_mode(PHOTO[:50, :70], "P")
    clear = np.asarray(palette)[10, 10]
    palette.info["transparency"] = int(clear)
    hole = np.asarray(palette) == clear
    found = ConstantModel().inpaint(palette)
    assert not (np.asarray(found) == clear).any()
    np.testing.assert_array_equal(np.asarray(found)[~hole], np.asarray(palette)[~hole])
    with pytest.raises(ValueError, match="without alpha. Received: mask=None"):
        ConstantModel().inpaint(PHOTO)


@pytest.mark.backend_independent
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_and_exif_are_kept(tmp_path, orientation):
    """A mask is oriented as the image is displayed; the stored rows are kept."""
    from PIL import ImageOps

    image = Image.fromarray(PHOTO[:60, :90])
    exif = image.getexif()
    exif[0x0112], exif[0x010E] = orientation, "a photo"
    for ending in ("png", "tif"):
        path = tmp_path / f"p.{ending}"
        image.save(path, exif=exif, icc_profile=b"profile")
        shown = ImageOps.exif_transpose(Image.open(path))
        mask = random_hole(shown.height, shown.width, 0)
        found = ConstantModel().inpaint(path, Image.fromarray(mask))
        with Image.open(path) as stored:
            stored.load()  # Pillow applies the orientation of a TIFF here.
            assert found.size == stored.size
        assert found.info["icc_profile"] == b"profile"
        found.save(tmp_path / "again.png", exif=found.info["exif"])
        with Image.open(tmp_path / "again.png") as again:
            assert again.getexif()[0x010E] == "a photo"
            turned = np.asarray(ImageOps.exif_transpose(again))
        expected = ConstantModel().inpaint(np.asarray(shown), mask)
        np.testing.assert_array_equal(turned, expected)
    if orientation >= 5:
        rows = random_hole(60, 90, 0)
        found = ConstantModel().inpaint(tmp_path / "p.png", rows)
        np.testing.assert_array_equal(np.asarray(found)[~rows], PHOTO[:60, :90][~rows])


@pytest.mark.backend_independent
def test_tiny_images():
    for shape in ((1, 1), (1, 1, 3)):
        with pytest.raises(ValueError, match="covers everything"):
            ConstantModel().inpaint(np.zeros(shape), np.ones((1, 1)))
        with pytest.warns(UserWarning, match="has no hole"):
            assert (
                ConstantModel().inpaint(np.zeros(shape), np.zeros((1, 1))).shape
                == shape
            )
    for strategy in ("full", "crop", "resize", "auto"):
        found = ConstantModel((1, 1, 1)).inpaint(
            np.zeros((1, 2)), np.array([[0, 1]]), strategy=strategy
        )
        np.testing.assert_allclose(found, [[0, 1]], atol=1e-6)


def test_compiled_model_fills_the_same(model):
    compiled = keras_ctsdg.CTSDG(model.generator, model.discriminator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled.compile()
    mask = random_hole(100, 120, 0)
    expected = model.inpaint(PHOTO[:100, :120], mask)
    found = compiled.inpaint(PHOTO[:100, :120], mask)
    np.testing.assert_array_equal(found, expected)
