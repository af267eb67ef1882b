import numpy as np
import pytest
from PIL import Image, ImageFilter

from keras_ctsdg.data.mask_levels import (
    levels_of_array,
    levels_of_image,
    squeeze_mask,
)
from tests.data.mask_kinds import (
    ALL_HOLE,
    BLACK,
    HOLE,
    MARKED,
    NO_HOLE,
    RED,
    REFUSED,
    WHITE,
    paint,
)

pytestmark = pytest.mark.backend_independent


def read(mask):
    if isinstance(mask, Image.Image):
        return levels_of_image(mask)
    return levels_of_array(mask)


@pytest.mark.parametrize("kind", MARKED)
def test_masks_of_one_sensible_meaning(kind):
    levels = read(MARKED[kind])
    assert levels.dtype == np.uint8
    np.testing.assert_array_equal(levels >= 127.5, HOLE)
    # What was read means the same when it is read again.
    np.testing.assert_array_equal(levels_of_array(levels) >= 127.5, HOLE)


def test_arrays_and_their_files_mean_the_same():
    for kind, mask in MARKED.items():
        if isinstance(mask, np.ndarray) and mask.dtype.name in ("bool", "uint8"):
            if mask.ndim == 2 or mask.dtype == np.uint8:
                levels = levels_of_image(Image.fromarray(mask))
                np.testing.assert_array_equal(levels >= 127.5, HOLE, kind)


@pytest.mark.parametrize("kind", [*NO_HOLE, *ALL_HOLE])
def test_masks_of_one_level(kind):
    levels = read((NO_HOLE | ALL_HOLE)[kind])
    assert set(np.unique(levels)) == {0 if kind in NO_HOLE else 255}


@pytest.mark.parametrize("kind", REFUSED)
def test_unclear_masks_are_refused_with_what_they_have(kind):
    mask, found = REFUSED[kind]
    with pytest.raises(ValueError, match=f"mark them in white.* It has .*{found}"):
        read(mask)


def test_soft_levels_are_kept_for_a_threshold():
    ramp = np.tile(np.arange(256, dtype="uint8"), (4, 1))
    for mask in (ramp, ramp / 255, ramp.astype("uint16") * 257, Image.fromarray(ramp)):
        np.testing.assert_array_equal(read(mask), ramp)


def test_blurred_color_is_read_as_blurred_white():
    found = [
        read(Image.fromarray(paint(mark, BLACK)).filter(ImageFilter.GaussianBlur(1.2)))
        for mark in (WHITE, RED)
    ]
    np.testing.assert_array_equal(*(levels >= 127.5 for levels in found))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 7), (5, 7)),
        ((5, 7, 1), (5, 7)),
        ((1, 5, 7), (5, 7)),
        ((1, 5, 7, 1), (5, 7)),
        ((1, 1, 5, 7), (5, 7)),
        ((1, 7, 1), (1, 7)),
        ((5, 1, 1), (5, 1)),
        ((5, 7, 3), (5, 7, 3)),
        ((1, 5, 7, 4), (5, 7, 4)),
        ((1, 7, 3), (1, 7, 3)),
    ],
)
def test_axes_of_length_one_are_dropped(shape, expected):
    assert squeeze_mask(np.zeros(shape), "mask").shape == expected


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 5, 7), r"shape=\(3, 5, 7\), which looks like \[C, H, W\]"),
        ((1, 3, 5, 7), r"shape=\(3, 5, 7\), which looks like \[C, H, W\]"),
        ((2, 5, 7), r"shape=\(2, 5, 7\)"),
        ((2, 5, 7, 1), r"shape=\(2, 5, 7\)"),
        ((5,), r"shape=\(5,\)"),
    ],
)
def test_other_layouts_are_named(shape, message):
    with pytest.raises(ValueError, match=f"`mask` must .*{message}"):
        squeeze_mask(np.zeros(shape), "mask")
