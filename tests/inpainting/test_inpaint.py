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
from keras_ctsdg.inpainting import inpaint
from keras_ctsdg.models import Discriminator, Generator
from tests.inpainting.common import (
    MODES,
    PHOTO,
    TYPES,
    StandIn,
    as_mode,
    as_type,
    some_hole,
)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return keras_ctsdg.CTSDG(Generator(filters=8), Discriminator(filters=8))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    height=st.integers(16, 700),
    width=st.integers(16, 700),
    kind=st.sampled_from((*MODES, *TYPES)),
    strategy=st.sampled_from(("auto", "full", "crop", "resize")),
    feather=st.sampled_from((0, 5)),
    seed=st.integers(0, 1000),
)
def test_kind_size_and_other_pixels_stay(height, width, kind, strategy, feather, seed):
    levels = np.resize(PHOTO[: min(height, 512), : min(width, 512)], (height, width, 3))
    mask = some_hole(height, width, seed)
    image = as_type(levels, kind) if kind in TYPES else as_mode(levels, kind)
    before = np.array(image)
    options = {"strategy": strategy, "feather": feather, "memory_limit": 20}
    found = inpaint(StandIn(), image, mask, **options)
    np.testing.assert_array_equal(before, image)
    after = np.asarray(found)
    assert after.dtype == before.dtype
    assert after.shape == before.shape
    np.testing.assert_array_equal(after[~mask], before[~mask])
    if kind in MODES:
        assert (found.mode, found.size) == (image.mode, image.size)
    if kind in ("LA", "RGBA", "PA"):
        np.testing.assert_array_equal(after[..., -1], before[..., -1])
    # It has the stand-in's color; where sizes were changed, but for the rim, which
    # resampling blends with what is beside it.
    if kind in ("RGB", "uint8") and not feather:
        deep = mask
        if strategy in ("auto", "resize"):
            deep = binary_erosion(mask, np.ones((3, 3)), iterations=3, border_value=1)
        np.testing.assert_allclose(after[deep], [[230, 38, 140]] * deep.sum(), atol=6)


@pytest.mark.parametrize(
    ("edges", "sigma"), [("clean", 2.0), ("wrapped", 2.0), ("clean", 1.0)]
)
def test_full_on_a_multiple_equals_predict(model, edges, sigma):
    mask = some_hole(128, 256, 0)
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
def test_crop_and_auto_equal_full_where_one_crop_suffices(model, size):
    levels, mask = PHOTO[: size[0], : size[1]], some_hole(*size, 1)
    full = model.inpaint(levels, mask, strategy="full")
    for strategy in ("crop", "auto"):
        found = model.inpaint(levels, mask, strategy=strategy)
        np.testing.assert_array_equal(found, full)
    assert (full[mask] != levels[mask]).any(axis=-1).mean() > 0.9


def test_list_batch_and_path_equal_one(model, tmp_path):
    levels = np.stack([PHOTO[:100, :120], PHOTO[200:300, 100:220]])
    masks = np.stack([some_hole(100, 120, i) for i in range(2)])
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
    # Gray ones, whose batch has an axis for the one channel.
    gray = model.inpaint(levels[..., :1], masks)
    assert gray.shape == (2, 100, 120, 1)


def test_masks_say_the_same_in_many_ways():
    image, mask = PHOTO[:60, :80], some_hole(60, 80, 0)
    expected = inpaint(StandIn(), image, mask)
    for other in (
        mask[..., None],
        mask.astype("uint8"),
        mask.astype("int64"),
        mask.astype("uint8") * 255,
        mask * 0.6,
        Image.fromarray(mask),
    ):
        np.testing.assert_array_equal(inpaint(StandIn(), image, other), expected)
    found = inpaint(StandIn(), image, ~mask, invert_mask=True)
    np.testing.assert_array_equal(found, expected)
    with pytest.warns(UserWarning, match="has no hole"):
        found = inpaint(StandIn(), image, mask * 0.6, threshold=0.7)
    np.testing.assert_array_equal(found, image)


def test_dilate_and_feather_by_hand():
    image = np.zeros((64, 64))
    mask = np.zeros((64, 64))
    mask[20:40, 20:40] = 1
    white = StandIn((1, 1, 1))
    grown = inpaint(white, image, mask, dilate=3)
    expected = np.zeros((64, 64))
    expected[17:43, 17:43] = 1
    np.testing.assert_allclose(grown, expected, atol=1e-6)
    soft = inpaint(white, image, mask, feather=3)
    row = [0, 0.25, 0.5, 0.75, 1, 1]
    np.testing.assert_allclose(soft[30, 19:25], row, atol=1e-6)
    np.testing.assert_array_equal(soft[mask == 0], 0)


def test_what_is_in_the_hole_has_no_part(model):
    mask = some_hole(100, 150, 2)
    image = PHOTO[:100, :150] / 255.0
    found = []
    for paint in (0.0, 1.0, np.nan, 1e9):
        image[mask] = paint
        found.append(model.inpaint(image, mask, strategy="full"))
        np.testing.assert_array_equal(found[-1], found[0])
    small = [
        model.inpaint(np.where(mask[..., None], x, image), mask, "resize", size=128)
        for x in (0.0, 1.0)
    ]
    np.testing.assert_allclose(*small, atol=1e-5)
    assert np.isfinite(small[0]).all()


def test_alpha_as_the_mask():
    hole = some_hole(50, 70, 0)
    alpha = np.where(hole, 0, 255).astype("uint8")
    image = np.dstack([PHOTO[:50, :70], alpha])
    for picture in (image, Image.fromarray(image)):
        found = np.asarray(inpaint(StandIn(), picture))
        assert (found[..., 3] == 255).all()
        expected = inpaint(StandIn(), image[..., :3], hole)
        np.testing.assert_array_equal(found[..., :3], expected)
    palette = as_mode(PHOTO[:50, :70], "P")
    clear = np.asarray(palette)[10, 10]
    palette.info["transparency"] = int(clear)
    hole = np.asarray(palette) == clear
    found = inpaint(StandIn(), palette)
    assert not (np.asarray(found) == clear).any()
    np.testing.assert_array_equal(np.asarray(found)[~hole], np.asarray(palette)[~hole])
    with pytest.raises(ValueError, match="without an alpha. Received: mask=None"):
        inpaint(StandIn(), PHOTO)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_and_exif_survive(tmp_path, orientation):
    """A mask lies as the picture is shown; the file's rows stay as they are."""
    from PIL import ImageOps

    picture = Image.fromarray(PHOTO[:60, :90])
    exif = picture.getexif()
    exif[0x0112], exif[0x010E] = orientation, "a photo"
    for ending in ("png", "tif"):
        path = tmp_path / f"p.{ending}"
        picture.save(path, exif=exif, icc_profile=b"profile")
        shown = ImageOps.exif_transpose(Image.open(path))
        mask = some_hole(shown.height, shown.width, 0)
        found = inpaint(StandIn(), path, Image.fromarray(mask))
        with Image.open(path) as stored:
            stored.load()  # Which turns a TIFF.
            assert found.size == stored.size
        assert found.info["icc_profile"] == b"profile"
        found.save(tmp_path / "again.png", exif=found.info["exif"])
        with Image.open(tmp_path / "again.png") as again:
            assert again.getexif()[0x010E] == "a photo"
            turned = np.asarray(ImageOps.exif_transpose(again))
        expected = inpaint(StandIn(), np.asarray(shown), mask)
        np.testing.assert_array_equal(turned, expected)
    if orientation >= 5:
        rows = some_hole(60, 90, 0)
        found = inpaint(StandIn(), tmp_path / "p.png", rows)
        np.testing.assert_array_equal(np.asarray(found)[~rows], PHOTO[:60, :90][~rows])


def test_tiny_pictures():
    for shape in ((1, 1), (1, 1, 3)):
        with pytest.raises(ValueError, match="covers everything"):
            inpaint(StandIn(), np.zeros(shape), np.ones((1, 1)))
        with pytest.warns(UserWarning, match="has no hole"):
            assert inpaint(StandIn(), np.zeros(shape), np.zeros((1, 1))).shape == shape
    for strategy in ("full", "crop", "resize", "auto"):
        found = inpaint(
            StandIn((1, 1, 1)), np.zeros((1, 2)), np.array([[0, 1]]), strategy=strategy
        )
        np.testing.assert_allclose(found, [[0, 1]], atol=1e-6)


def test_bad_input(tmp_path):
    image, mask = PHOTO[:40, :50], some_hole(40, 50, 0)
    (tmp_path / "bad.png").write_text("no picture")
    nan = image / 255.0
    nan[1, 2] = np.nan
    mask[1, 2] = False
    for arguments, message in (
        ((image, mask.T), r"size, 40 x 50 .*Received: mask of 50 x 40"),
        ((image, np.ones((40, 50))), "covers everything"),
        ((nan, mask), r"no NaN.*Received: image\[1, 2\]="),
        ((image.astype("float32"), mask), r"must lie in \[0, 1\]"),
        ((image, nan[..., 0]), "`mask` can't be read: its numbers"),
        ((tmp_path / "bad.png", mask), "`image` can't be read"),
        ((tmp_path / "none.png", mask), "must be a file. Received"),
        ((image, tmp_path / "bad.png"), "`mask` can't be read"),
        (([image, tmp_path / "bad.png"], mask), r"`image\[1\]` can't be read"),
        (([], mask), "must hold a picture"),
        (([image], [mask, mask]), "Received: 2 masks, 1 pictures"),
        ((image, [mask]), "one for one picture"),
        ((3, mask), "of type int"),
        ((image.astype("int64"), mask), "dtype=int64"),
        ((np.zeros((0, 5)), mask), "must have pixels"),
        ((np.zeros((40, 50, 2)), mask), "shape=.40, 50, 2."),
        ((Image.new("F", (50, 40)), mask), "Received: image.mode='F'"),
        ((Image.new("I", (50, 40), -1), mask), "Received: image.mode='I'"),
    ):
        network = StandIn()
        with pytest.raises(ValueError, match=message):
            inpaint(network, *arguments)
        assert not network.sizes  # Before any work
    for options, message in (
        ({"strategy": "best"}, "Received: strategy='best'"),
        ({"size": 0}, "size=0"),
        ({"threshold": 0}, "threshold=0"),
        ({"dilate": -1}, "dilate=-1"),
        ({"dilate": 99}, "with dilate=99"),
        ({"feather": 65}, "feather=65"),
        ({"memory_limit": 0}, "memory_limit=0"),
        ({"memory_limit": 1e-3}, "Received: memory_limit=0.001"),
    ):
        with pytest.raises(ValueError, match=message):
            inpaint(StandIn(), image, mask, **options)
    fixed = StandIn()
    fixed.generator = type("Fixed", (), {"image_shape": (256, 256, 3), "filters": 8})
    with pytest.raises(ValueError, match=r"image_shape=\(256, 256, 3\)"):
        inpaint(fixed, image, mask)


def test_takes_a_compiled_model_and_many_sizes(model):
    compiled = keras_ctsdg.CTSDG(model.generator, model.discriminator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled.compile()
    mask = some_hole(100, 120, 0)
    expected = model.inpaint(PHOTO[:100, :120], mask)
    found = compiled.inpaint(PHOTO[:100, :120], mask)
    np.testing.assert_array_equal(found, expected)
