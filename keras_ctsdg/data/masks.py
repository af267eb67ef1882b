import os

import numpy as np
from PIL import Image, ImageDraw

from keras_ctsdg.data._checks import check_seed
from keras_ctsdg.data.images import ImageError, ImageFiles


class MaskFiles:
    """Masks that are read when they are asked for.

    Args:
        source: As `ImageFiles` takes it, of masks: white, 255 or 1.0, marks the
            hole; arrays of whole numbers may say 1 instead.

    Raises:
        ValueError: If there is no such source, or no picture in it.
    """

    def __init__(self, source):
        if not isinstance(source, (str, os.PathLike)):
            source = [unscaled(item) for item in source]
        self.files = ImageFiles(source, "masks")

    def __len__(self):
        return len(self.files)

    def name(self, index):
        """What a mask is called: its path, or its place in the list."""
        return self.files.name(index)

    def load(self, index, size):
        """Reads one mask.

        Args:
            index: Int.
            size: Tuple `(H, W)`, to which it is brought by the nearest pixel.

        Returns:
            Float32 array `[H, W, 1]`, 0 or 1, where 1 marks the hole.

        Raises:
            ImageError: If it can't be read, or has no hole, or nothing else.
        """
        gray = self.files.load(index, "L").resize(size[::-1], Image.Resampling.NEAREST)
        levels = np.asarray(gray)
        hole = levels >= 127.5
        if hole.all() or not hole.any():
            raise ImageError(
                f"Mask {index} must have a hole (white) and a rest (black) at "
                f"{size[0]} x {size[1]}. Received: {self.name(index)}, with levels "
                f"from {levels.min()} to {levels.max()} of 255"
            )
        return hole[..., None].astype("float32")


def unscaled(item):
    """Whole numbers of 0 and 1 as what they mean."""
    kind = getattr(getattr(item, "dtype", None), "kind", "")
    return item > 0 if kind in ("i", "u") and item.max(initial=0) <= 1 else item


class RandomIrregularMasks:
    """Irregular masks drawn at random: brush strokes, blobs and rectangles.

    A mask depends on the seed and its index alone, so that it comes out the same
    in any order and in any process.

    Args:
        mask_ratio: Tuple `(low, high)`, the range of the share of a picture that
            its hole covers, within (0, 1); each mask draws its share from it.
            Defaults to `(0.1, 0.4)`.
        seed: Int, not negative. Defaults to `0`.

    Raises:
        ValueError: If `mask_ratio` is not such a range, or `seed` not such an int.

    Example:

    >>> masks = RandomIrregularMasks((0.2, 0.3), seed=1)
    >>> masks(0, (128, 128)).shape
    (128, 128, 1)
    """

    def __init__(self, mask_ratio=(0.1, 0.4), seed=0):
        low, high = mask_ratio
        if not 0.0 < low < high < 1.0:
            raise ValueError(
                "`mask_ratio` must be (low, high) with 0 < low < high < 1. "
                f"Received: mask_ratio={mask_ratio}"
            )
        self.mask_ratio = (float(low), float(high))
        self.seed = check_seed(seed)

    def __call__(self, index, size):
        """Draws one mask.

        Args:
            index: Int, or tuple of ints, which of the masks.
            size: Tuple `(H, W)`.

        Returns:
            Float32 array `[H, W, 1]`, 0 or 1, where 1 marks the hole.
        """
        rng = np.random.default_rng([self.seed, *np.atleast_1d(index)])
        height, width = size
        wanted = max(1, round(rng.uniform(*self.mask_ratio) * height * width))
        mask = np.zeros(height * width, bool)
        while (missing := wanted - np.count_nonzero(mask)) > 0:
            shape = _random_shape(rng, size).ravel()
            # The last shape is cut off where the hole is as large as it should be.
            mask[np.flatnonzero(shape & ~mask)[:missing]] = True
        return mask.reshape(height, width, 1).astype("float32")


def _random_shape(rng, size):
    """One stroke, blob or rectangle, as a bool array."""
    height, width = size
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    unit = min(size)
    kind = rng.choice(["stroke", "blob", "rectangle"], p=[0.7, 0.15, 0.15])
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    if kind == "stroke":
        _draw_stroke(draw, rng, x, y, unit)
    else:
        half_width, half_height = rng.uniform(0.03, 0.15, 2) * unit
        box = (x - half_width, y - half_height, x + half_width, y + half_height)
        shape = draw.ellipse if kind == "blob" else draw.rectangle
        shape(box, fill=1)
    return np.asarray(canvas)


def _draw_stroke(draw, rng, x, y, unit):
    """A brush that wanders: its direction drifts from joint to joint."""
    radius = rng.uniform(0.015, 0.06) * unit
    angle = rng.uniform(0, 2 * np.pi)
    for _ in range(rng.integers(2, 8)):
        angle += rng.normal(0, 0.7)
        length = rng.uniform(0.05, 0.2) * unit
        end_x, end_y = x + length * np.cos(angle), y + length * np.sin(angle)
        draw.line((x, y, end_x, end_y), fill=1, width=max(1, round(2 * radius)))
        for joint_x, joint_y in ((x, y), (end_x, end_y)):
            draw.ellipse(
                (
                    joint_x - radius,
                    joint_y - radius,
                    joint_x + radius,
                    joint_y + radius,
                ),
                fill=1,
            )
        x, y = end_x, end_y
