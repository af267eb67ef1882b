import os
import warnings

import numpy as np
from PIL import Image

from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.inpainting.canvas import ArrayCanvas, PillowCanvas
from keras_ctsdg.inpainting.holes import read_hole
from keras_ctsdg.inpainting.network import fill_part
from keras_ctsdg.inpainting.windows import MemoryLimit, plan_windows


def inpaint(model, image, mask, options):
    """Fill the holes in images; `CTSDG.inpaint` documents it.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        image, mask: As `CTSDG.inpaint` takes them.
        options: `InpaintOptions`.

    Returns:
        The filled images, in the form of `image`.

    Raises:
        ValueError: As `CTSDG.inpaint` raises it.
    """
    if model.generator.image_shape[:2] != (None, None):
        raise ValueError(
            "`model.generator` must take pictures of any size: make it with "
            "`image_shape=(None, None, 3)`, its weights are the same. Received: "
            f"image_shape={model.generator.image_shape}"
        )
    limit = MemoryLimit(options.memory_limit, model.generator)

    def job(image, mask, index=""):
        canvas = _canvas(image, f"image{index}")
        name = f"mask{index}"
        hole = read_hole(mask, canvas, name, options)
        if not hole.any():
            warnings.warn(
                f"`{name}` has no hole: the picture is returned as it is.",
                stacklevel=4 if index else 3,
            )
            return _Job(canvas, hole, [], options.feather, False)
        canvas.check(np.ones_like(hole) if options.feather else ~hole, f"image{index}")
        windows = plan_windows(hole, options.strategy, options.size, limit)
        return _Job(canvas, hole, windows, options.feather, mask is None)

    images, masks, finish = _items(image, mask)
    if images is None:
        return job(image, mask).run(model)
    # All of them first: an error in the last should not cost the work on the first.
    pairs = zip(images, masks, strict=True)
    jobs = [job(*pair, f"[{i}]") for i, pair in enumerate(pairs)]
    return finish([job.run(model) for job in jobs])


# === Kinds ===


def _items(image, mask):
    """Pictures and masks of a list or a batch, and what makes one of the results.

    Of a single picture, three times `None`.
    """
    is_batch = getattr(image, "ndim", None) == 4
    if not is_batch and not isinstance(image, (list, tuple)):
        if isinstance(mask, (list, tuple)):
            raise ValueError(
                "`mask` must be one for one picture. Received: "
                f"{len(mask)} masks, image of type {type(image).__name__}"
            )
        return None, None, None
    images = list(np.asarray(image)) if is_batch else list(image)
    if not images:
        raise ValueError("`image` must hold a picture. Received: none")
    masks = [mask] * len(images)
    shape = getattr(mask, "shape", ())
    if isinstance(mask, (list, tuple)) or _is_stack(shape, images):
        masks = list(mask)
    if len(masks) != len(images):
        raise ValueError(
            "`mask` must be one for all pictures or one for each. Received: "
            f"{len(masks)} masks, {len(images)} pictures"
        )
    return images, masks, np.stack if is_batch else list


def _is_stack(shape, images):
    """Whether masks of this shape are one for each picture."""
    if len(shape) == 3:
        # `[H, W, 1]` is a single one, unless pictures are that narrow.
        return shape[0] == len(images) and shape == (
            len(images),
            *np.shape(images[0])[:2],
        )
    return len(shape) == 4


def _canvas(image, name):
    if isinstance(image, (str, os.PathLike)):
        return PillowCanvas(ImageFiles([image], name).load_original(0), name)
    if isinstance(image, Image.Image):
        return PillowCanvas(image, name)
    if not hasattr(image, "shape"):
        raise ValueError(
            f"`{name}` must be a path, a PIL image or an array. "
            f"Received: {name} of type {type(image).__name__}"
        )
    return ArrayCanvas(np.asarray(image), name)


# === Work ===


class _Job:
    """A picture, its hole, and the windows that will fill it."""

    def __init__(self, canvas, hole, windows, feather, is_alpha):
        self.canvas = canvas
        self.hole = hole
        self.windows = windows
        self.feather = feather
        self.is_alpha = is_alpha

    def run(self, model):
        missing = self.hole.copy()
        for window in self.windows:
            box = _slices(window.box)
            where = np.zeros_like(missing)
            part = _slices(window.part)
            where[part] = missing[part]
            where = where[box]
            if not where.any():
                continue
            colors = self.canvas.colors(box)
            filled = fill_part(model, colors, missing[box], window.size)
            if self.feather:
                filled = self._blend(filled, colors, box)
            self.canvas.paint(box, filled, where)
            # To the next windows, what was filled is picture.
            missing[part] = False
        if self.is_alpha:
            self.canvas.make_opaque(self.hole)
        return self.canvas.finish()

    def _blend(self, filled, colors, box):
        """Goes over from the picture to what was filled, from the rim inwards."""
        from scipy import ndimage

        hole = self.hole[box]
        if hole.all():
            return filled
        distance = ndimage.distance_transform_edt(hole)[..., None]
        amount = np.clip(distance / (self.feather + 1), 0, 1).astype("float32")
        return amount * filled + (1 - amount) * colors


def _slices(box):
    top, left, bottom, right = box
    return slice(top, bottom), slice(left, right)
