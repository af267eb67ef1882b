import numpy as np
from PIL import Image, ImageDraw

from keras_ctsdg.data._checks import check_seed
from keras_ctsdg.data.arrays import is_array, to_array
from keras_ctsdg.data.images import ImageError, ImageFiles
from keras_ctsdg.data.mask_levels import MIDDLE, squeeze_mask
from keras_ctsdg.data.sources import is_path, is_single, list_items


class MaskFiles:
    """Masks by index, each read when it is asked for.

    Args:
        source: As `ImageFiles` takes it, with masks as images, or `ImageFiles`. White
            marks the hole, and 1 in arrays and files of 0 and 1;
            `keras_ctsdg.data.mask_levels` lists what else is understood.
        passed_over: Paths of folders and files that are no part of a folder. Defaults
            to none.

    Raises:
        ValueError: If the source does not exist or contains no image.
    """

    def __init__(self, source, passed_over=()):
        if isinstance(source, ImageFiles):
            self.files = source
            return
        if is_array(source):
            source = to_array(source, "masks")
        if is_single(source):
            source = squeeze_mask(source, "masks")
        elif not is_path(source):
            source = [
                squeeze_mask(x, f"masks[{i}]")
                for i, x in enumerate(list_items(source, "masks"))
            ]
        self.files = ImageFiles(source, "masks", passed_over)

    def __len__(self):
        return len(self.files)

    def name(self, index):
        """Return the name of a mask: its path, or its index in the list."""
        return self.files.name(index)

    def load(self, index, size):
        """Read a mask and resize it by nearest neighbor.

        Args:
            index: Int.
            size: Tuple `(H, W)`.

        Returns:
            Float32 array `[H, W, 1]`, 0 or 1, where 1 marks the hole.

        Raises:
            ImageError: If it cannot be read, has no hole, or is all hole.
        """
        gray = Image.fromarray(self.files.load_mask(index))
        levels = np.asarray(gray.resize(size[::-1], Image.Resampling.NEAREST))
        hole = levels >= MIDDLE
        if hole.all() or not hole.any():
            raise ImageError(
                f"Mask {index} must have both white pixels (the hole) and black ones "
                f"at {size[0]} x {size[1]}. Received: {self.name(index)}, with levels "
                f"from {levels.min()} to {levels.max()} of 255"
            )
        return hole[..., None].astype("float32")


class RandomIrregularMasks:
    """Random irregular masks of brush strokes, ellipses and rectangles.

    A mask depends on the seed and its index alone, so that it is the same in any
    order and in any process.

    Args:
        mask_ratio: Tuple `(low, high)` within (0, 1), the range of the mask ratio,
            which is the share of the image that the hole covers. Each mask has a
            ratio that is uniform in this range. Defaults to `(0.1, 0.4)`.
        seed: Int, not negative. Defaults to `0`.

    Raises:
        ValueError: If `mask_ratio` is not such a range, or `seed` not such an int.

    Example:

    >>> masks = keras_ctsdg.data.RandomIrregularMasks((0.2, 0.3), seed=1)
    >>> mask = masks(0, (128, 128))
    >>> mask.shape
    (128, 128, 1)
    >>> bool(0.2 <= mask.mean() <= 0.3)
    True
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
        """Return one mask.

        Args:
            index: Int, or tuple of ints, the index of the mask.
            size: Tuple `(H, W)`.

        Returns:
            Float32 array `[H, W, 1]`, 0 or 1, where 1 marks the hole.
        """
        rng = np.random.default_rng([self.seed, *np.atleast_1d(index)])
        height, width = size
        pixels = max(1, round(rng.uniform(*self.mask_ratio) * height * width))
        mask = np.zeros(height * width, bool)
        while (missing := pixels - np.count_nonzero(mask)) > 0:
            shape = _random_shape(rng, size).ravel()
            # Only part of the last shape, so that the ratio is exact to a pixel.
            mask[np.flatnonzero(shape & ~mask)[:missing]] = True
        return mask.reshape(height, width, 1).astype("float32")


def _random_shape(rng, size):
    """Return a stroke, an ellipse or a rectangle as a bool array."""
    height, width = size
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    unit = min(size)
    kind = rng.choice(["stroke", "ellipse", "rectangle"], p=[0.7, 0.15, 0.15])
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    if kind == "stroke":
        _draw_stroke(draw, rng, x, y, unit)
    else:
        half_width, half_height = rng.uniform(0.03, 0.15, 2) * unit
        box = (x - half_width, y - half_height, x + half_width, y + half_height)
        shape = draw.ellipse if kind == "ellipse" else draw.rectangle
        shape(box, fill=1)
    return np.asarray(canvas)


def _draw_stroke(draw, rng, x, y, unit):
    """Draw a brush stroke of several segments, each turned against the one before."""
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
