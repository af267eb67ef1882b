"""Masks of any kind, converted to the holes that they mark."""

import numpy as np

from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.data.masks import integers_to_bool


def read_hole(mask, image, name, options):
    """Read the hole that a mask marks.

    Args:
        mask: Path, PIL image or array, white or 1 in the hole; or `None` to take the
            transparent pixels of the image as the hole.
        image: `EditableImage`, the image that the mask belongs to.
        name: Str, what errors call the mask.
        options: `InpaintOptions`.

    Returns:
        Bool array `[H, W]`, upright, true in the hole.

    Raises:
        ValueError: If the mask cannot be read, is of another size than the image, or
            covers all of it.
    """
    from scipy import ndimage

    levels = _read_levels(mask, image, name)
    if options.invert_mask:
        levels = 255 - levels
    hole = levels >= options.threshold * 255
    dilate = int(options.dilate)
    if dilate:
        hole = ndimage.maximum_filter(hole, 2 * dilate + 1, mode="constant")
    if hole.all():
        raise ValueError(
            f"`{name}` must leave a part of the image uncovered. Received: a mask of "
            f"{hole.shape[0]} x {hole.shape[1]} that covers everything"
            + (f", with dilate={dilate}" if dilate else "")
        )
    return hole


def _read_levels(mask, image, name):
    """Return a mask's levels `[H, W]` in [0, 255], upright as the image is shown."""
    if mask is None:
        if image.alpha is None:
            raise ValueError(
                f"`{name}` must be given for an image without alpha. "
                f"Received: {name}=None"
            )
        return 255 - image.alpha
    levels = np.asarray(ImageFiles([integers_to_bool(mask)], name).load(0, "L"))
    if levels.shape != image.size:
        # A mask array may follow the rows as stored, before the EXIF rotation.
        levels = image.turn_upright(levels)
    check_mask_size(levels.shape, image.size, name)
    return levels


def check_mask_size(found, expected, name):
    """Check that a mask is of the size of its image.

    Args:
        found: Tuple `(height, width)` of the mask.
        expected: Tuple `(height, width)` of the image.
        name: Str, what errors call the mask.

    Raises:
        ValueError: If the sizes differ.
    """
    if found != expected:
        raise ValueError(
            f"`{name}` must be of the image's size, {expected[0]} x {expected[1]} "
            f"(height x width). Received: {name} of {found[0]} x {found[1]}"
        )
