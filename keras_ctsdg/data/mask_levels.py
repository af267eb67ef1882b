"""The one reader of masks: which pixels an image or an array marks as the hole.

White marks the hole, black the rest. A mask that marks it in another way is read where
it has one sensible meaning. Any other is refused with the levels or colors that it has:
a mask that is misread fills the wrong pixels without a word.

| a mask has | the hole |
|---|---|
| bools, or integers 0 and 1, in an array or a file | true, 1 |
| soft levels on both sides of the middle | decided by a threshold |
| the same as floats, or with 16 bits | white is 1.0; 65535, or 255 if none exceeds it |
| two other levels: 0 and 76, 200 and 255 | the light one |
| two levels with the noise of a JPEG or smooth rims | the light ones |
| other levels on one side of the middle: 0, 1 and 2; 1 and 2 | refused |
| one level: black | none, which no other mask means |
| one level: white, true or 1 | everything, which its readers refuse |
| one level: any other | refused |
| one color on black or gray: pure red, a label's color | the color |
| one color on white | refused: either may be meant |
| a dark color and a light one | the light one |
| two other colors, several colors, a photo | refused |
| opaque white, or one color, on transparent ground | the opaque pixels |
| the same, of more than half of the pixels | refused: an erased hole may be meant |
| opaque black or gray, and transparent pixels | refused: either may be meant |
| opaque black, opaque white or a color, and transparent pixels | white, the color |
| an opaque photo, at most half transparent | the transparent pixels |
| nothing but transparent pixels | refused |

Files and Pillow images of any mode are converted to gray, RGB or RGBA first.
"""

import numpy as np
from PIL import Image

from keras_ctsdg.data._mask_colors import (
    FEW,
    UnclearMaskError,
    resolve_alpha,
    resolve_colors,
)
from keras_ctsdg.data.arrays import BANDS, check_image_shape, is_array, to_array

# A level from which a pixel is rather white than black, of 255.
MIDDLE = 127.5
# Levels that differ by less are not two marks, unless one of them is black.
MIN_CONTRAST = 16


def levels_of_image(image):
    """Return the levels of a mask that is a Pillow image of any mode.

    Args:
        image: `PIL.Image.Image`, upright.

    Returns:
        Uint8 array `[H, W]`, where 255 marks the hole, as the table says.

    Raises:
        ValueError: If the table refuses it.
    """
    if image.mode not in ("1", "L", "F") and not image.mode.startswith("I"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    return levels_of_array(np.asarray(image))


def levels_of_array(array):
    """Return the levels of a mask that is an array.

    Args:
        array: Array `[H, W]`, `[H, W, 1]`, `[H, W, 3]` or `[H, W, 4]` of bools,
            integers of any type, or floats.

    Returns:
        Uint8 array `[H, W]`, where 255 marks the hole, as the table says.

    Raises:
        ValueError: If the table refuses it, or it has no pixels.
    """
    if array.size == 0:
        raise ValueError("it has no pixels")
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    low, high = array.min(), array.max()
    # Also true for NaN
    if not (low >= 0 and high < np.inf):
        raise UnclearMaskError(f"values from {low} to {high}, not within 0 and 1")
    if array.dtype.kind != "f" and high <= 1:
        array = array.astype("uint8") * np.uint8(255)
    if array.ndim == 2 and low < high and ((array == low) | (array == high)).all():
        return _read_two_levels(array, low, high)
    levels = _to_uint8(array, high)
    if levels.ndim == 3 and levels.shape[-1] == 4:
        levels = resolve_alpha(levels[..., :3], levels[..., 3])
    if levels.ndim == 3:
        levels = resolve_colors(levels)
    return _resolve_levels(levels)


def squeeze_mask(mask, name):
    """Convert a mask that is an array, a tensor or a nested list; keep any other.

    Args:
        mask: Mask of any kind.
        name: Str, what errors call it.

    Returns:
        Array `[H, W]`, `[H, W, 3]` or `[H, W, 4]`, without axes of length 1 for a
        batch or a channel; or what was passed, if it is no array.

    Raises:
        ValueError: If an array has another shape.
    """
    if isinstance(mask, Image.Image) or not is_array(mask):
        return mask
    array = to_array(mask, name)
    if array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    while array.ndim > 2 and array.shape[0] == 1:
        if array.ndim == 3 and array.shape[-1] in BANDS:
            break
        array = array[0]
    check_image_shape(array.shape, name)
    return array


# === Levels ===


def _top(array, high):
    """Return the value of white."""
    if array.dtype.kind == "f":
        return 1.0
    return 255 if high <= 255 else 65535


def _read_two_levels(array, low, high):
    top = _top(array, high)
    if low < top / 2 <= high <= top:
        return _to_uint8(array, high)
    if low > 0 and high - low < MIN_CONTRAST * (top / 255):
        raise UnclearMaskError(f"the levels {low} and {high}")
    return np.where(array == high, 255, 0).astype("uint8")


def _to_uint8(array, high):
    if array.dtype == np.uint8:
        return array
    top = _top(array, high)
    if high > top:
        raise UnclearMaskError(f"values up to {high}, of {top}")
    return np.rint(array * (255.0 / top)).astype("uint8")


def _resolve_levels(levels):
    """Stretch levels to 0 and 255 if they are clearly two, with noise or smooth rims.

    Otherwise they are soft and keep their values, which must reach both sides of the
    middle.
    """
    counts = np.bincount(levels.ravel(), minlength=256)
    found = np.flatnonzero(counts)
    low, high = found[0], found[-1]
    if low == high and low in (0, 255):
        return levels
    below = found <= (low + high) / 2
    ends = [_median(half, counts[half]) for half in (found[below], found[~below])]
    contrast = ends[1] - ends[0]
    distance = np.abs(found - np.where(below, *ends))
    share = counts[found[distance <= contrast / 5]].sum() / levels.size
    is_clear = share == 1 or (len(found) > FEW and share >= 0.9)
    if is_clear and contrast >= MIN_CONTRAST:
        stretched = np.clip((levels - float(ends[0])) * (255 / contrast), 0, 255)
        return np.rint(stretched).astype("uint8")
    if low < MIDDLE <= high:
        return levels
    raise UnclearMaskError(f"the levels {_list(found)} of 255")


def _median(values, counts):
    if not len(values):
        return 0
    return int(values[np.searchsorted(np.cumsum(counts), counts.sum() / 2)])


def _list(found):
    words = [str(x) for x in found]
    if len(words) > 6:
        words = [*words[:3], "...", words[-1]]
    return ", ".join(words)
