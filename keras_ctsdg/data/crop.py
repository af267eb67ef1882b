"""Crop images before they are resized.

A size is `(width, height)` in pixels and a box `(left, top, right, bottom)`, as in
Pillow.
"""

from enum import StrEnum

from PIL import Image


class Crop(StrEnum):
    """Which part of an image a data set keeps."""

    CENTER = "center"
    RANDOM = "random"


def crop_and_resize(image, size, crop, rng):
    """Crop an image to the aspect ratio of a size and resize it.

    Args:
        image: `PIL.Image.Image`.
        size: Tuple `(width, height)` of the result.
        crop: `"center"`, `"random"`, or `None` to stretch the whole image.
        rng: `numpy.random.Generator` for a random crop.

    Returns:
        `PIL.Image.Image`.
    """
    if crop == Crop.CENTER:
        image = image.crop(center_box(image.size, size))
    elif crop == Crop.RANDOM:
        image = image.crop(random_box(image.size, size, rng))
    return image.resize(size, Image.Resampling.BILINEAR)


def center_box(size, target):
    """Return the largest box of an aspect ratio in the center of an image.

    Args:
        size: Tuple `(width, height)` of the image.
        target: Tuple `(width, height)` whose aspect ratio the box has.

    Returns:
        Tuple `(left, top, right, bottom)`.
    """
    width, height = size
    box_width, box_height = _largest_box(size, target)
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height


def random_box(size, target, rng):
    """Return a box of an aspect ratio at a random scale and position.

    The scale is uniform between that of `target`, where nothing is enlarged, and
    that of the largest box in the image. An image smaller than `target` is cropped
    to its largest box.

    Args:
        size: Tuple `(width, height)` of the image.
        target: Tuple `(width, height)` to which the box is resized.
        rng: `numpy.random.Generator`.

    Returns:
        Tuple `(left, top, right, bottom)`.
    """
    largest = _largest_box(size, target)
    ratios = [side / most for side, most in zip(target, largest, strict=True)]
    scale = rng.uniform(min(1.0, max(ratios)), 1.0)
    box_width, box_height = (max(1, round(scale * most)) for most in largest)
    left = int(rng.integers(size[0] - box_width + 1))
    top = int(rng.integers(size[1] - box_height + 1))
    return left, top, left + box_width, top + box_height


def _largest_box(size, target):
    """Return the size of the largest box with the aspect ratio of `target`."""
    width, height = size
    aspect = target[0] / target[1]
    return (
        max(1, min(width, round(height * aspect))),
        max(1, min(height, round(width / aspect))),
    )
