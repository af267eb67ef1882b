"""Masks of any kind as holes."""

import numpy as np

from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.data.masks import unscaled


def read_hole(mask, canvas, name, options):
    """Where a picture is to be filled.

    Args:
        mask: Path, PIL image or array, white or 1 in the hole; or `None`, and what
            is transparent in the picture is the hole.
        canvas: The picture's `Canvas`.
        name: Str, what errors call the mask.
        options: `InpaintOptions`.

    Returns:
        Bool array `[H, W]`, upright.

    Raises:
        ValueError: If the mask can't be read or used, or leaves nothing to go by.
    """
    from scipy import ndimage

    levels = _levels(mask, canvas, name)
    if options.invert_mask:
        levels = 255 - levels
    hole = levels >= options.threshold * 255
    dilate = int(options.dilate)
    if dilate:
        hole = ndimage.maximum_filter(hole, 2 * dilate + 1, mode="constant")
    if hole.all():
        raise ValueError(
            f"`{name}` must leave a part of the picture to go by. Received: a mask "
            f"of {hole.shape[0]} x {hole.shape[1]} that covers everything"
            + (f", with dilate={dilate}" if dilate else "")
        )
    return hole


def _levels(mask, canvas, name):
    """What is white in the hole, from 0 to 255, upright as the picture."""
    if mask is None:
        if canvas.alpha is None:
            raise ValueError(
                f"`{name}` must be given for a picture without an alpha. "
                f"Received: {name}=None"
            )
        return 255 - canvas.alpha
    levels = np.asarray(ImageFiles([unscaled(mask)], name).load(0, "L"))
    if levels.shape != canvas.size:
        # An array goes by the picture's rows, whatever its EXIF says.
        levels = canvas.upright(levels)
    check_mask_size(levels.shape, canvas.size, name)
    return levels


def check_mask_size(found, size, name):
    """Refuses a mask of another height and width than the picture's.

    Args:
        found: Tuple `(height, width)`, the mask's.
        size: Tuple `(height, width)`, the picture's.
        name: Str, what errors call the mask.

    Raises:
        ValueError: If they differ.
    """
    if found != size:
        raise ValueError(
            f"`{name}` must be of the picture's size, {size[0]} x {size[1]} (height x "
            f"width). Received: {name} of {found[0]} x {found[1]}"
        )
