"""Masks of any kind, converted to the holes that they mark."""

from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.data.mask_levels import squeeze_mask


def read_hole(mask, image, name, options):
    """Read the hole that a mask marks.

    Args:
        mask: Mask of any kind that `keras_ctsdg.data.mask_levels` lists, white or 1
            in the hole; or `None` to take the transparent pixels of the image as the
            hole.
        image: `EditableImage`, the image that the mask belongs to.
        name: Str, what errors call the mask.
        options: `InpaintOptions`.

    Returns:
        Bool array `[H, W]`, upright, true in the hole.

    Raises:
        ValueError: If the mask cannot be read, is of another size than the image,
            covers all of it, or marks nothing though it is not black.
    """
    from scipy import ndimage

    levels = _read_levels(mask, image, name)
    if options.invert_mask:
        levels = 255 - levels
    hole = levels >= options.threshold * 255
    if mask is not None and levels.any() and not hole.any():
        raise ValueError(
            f"`{name}` must reach `threshold`, or be black for no hole. Received: "
            f"threshold={options.threshold}, {name} of at most {levels.max()} of 255"
        )
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
    levels = read_mask(mask, name)
    if levels.shape != image.size:
        # A mask array may follow the rows as stored, before the EXIF rotation.
        levels = image.turn_upright(levels)
    check_mask_size(levels.shape, image.size, name)
    return levels


def read_mask(mask, name):
    """Read a mask of any kind.

    Args:
        mask: As `keras_ctsdg.data.mask_levels` documents it.
        name: Str, what errors call it.

    Returns:
        Uint8 array `[H, W]`, upright, where 255 marks the hole.

    Raises:
        ValueError: If it cannot be read, or does not tell the hole.
    """
    return ImageFiles([squeeze_mask(mask, name)], name).load_mask(0)


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
