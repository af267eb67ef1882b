"""The fill of images of any kind: plan the windows, then run the network on each."""

import warnings

import numpy as np
from PIL import Image

from keras_ctsdg.data.arrays import check_channels_last, is_array, to_array
from keras_ctsdg.data.sources import is_bytes
from keras_ctsdg.inpainting.editable_image import open_editable
from keras_ctsdg.inpainting.holes import read_hole
from keras_ctsdg.inpainting.network import fill_windows
from keras_ctsdg.inpainting.windows import (
    MemoryLimit,
    choose_group_sizes,
    group_windows,
    plan_windows,
)


class NoHoleWarning(UserWarning):
    """A mask has no hole, and its image is returned unchanged."""


def inpaint(model, image, mask, options):
    """Fill the holes in images; `CTSDG.inpaint` documents the images and masks.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        image: Path, bytes, open file, PIL image, array, batch of arrays, or list.
        mask: The same, 1 or white in the hole, or `None` for the image's alpha.
        options: `InpaintOptions`.

    Returns:
        The filled images, in the form of `image`.

    Raises:
        ValueError: As `CTSDG.inpaint` raises it.
    """
    limit = MemoryLimit(options.memory_limit, model.generator)
    images, masks, combine = _as_lists(_as_array(image, "image"), mask)
    plans = []
    # All images are planned first, so that an error in the last one costs no work.
    for i, (image, mask) in enumerate(zip(images, masks, strict=True)):
        index = "" if combine is None else f"[{i}]"
        plan = FillPlan(image, mask, index, options, limit)
        if not plan.windows:
            warnings.warn(
                f"`mask{index}` has no hole: the image is returned unchanged.",
                NoHoleWarning,
                # The caller of `CTSDG.inpaint`.
                stacklevel=3,
            )
        plans.append(plan)
    filled = [plan.run(model) for plan in plans]
    return filled[0] if combine is None else combine(filled)


# === Lists and batches ===


def _as_lists(image, mask):
    """Bring single images, lists and batches into the same form.

    Returns:
        Tuple of the list of images, the list of their masks, and the callable that
        combines the results; `None` for a single image.
    """
    is_batch = getattr(image, "ndim", None) == 4
    mask = _as_array(mask, "mask")
    if not is_batch and not isinstance(image, (list, tuple)):
        if isinstance(mask, (list, tuple)):
            raise ValueError(
                "`mask` must be a single mask for a single image. Received: "
                f"{len(mask)} masks, image of type {type(image).__name__}"
            )
        return [image], [mask], None
    images = list(image)
    if not images:
        raise ValueError("`image` must hold an image. Received: an empty list or batch")
    masks = [mask] * len(images)
    if isinstance(mask, (list, tuple)) or _is_batch_of_masks(mask, images):
        masks = list(mask)
    if len(masks) != len(images):
        raise ValueError(
            "`mask` must be one mask for all images or one for each. Received: "
            f"{len(masks)} masks, {len(images)} images"
        )
    return images, masks, np.stack if is_batch else list


def _is_batch_of_masks(mask, images):
    """Return whether an array holds one mask for each image."""
    shape = getattr(mask, "shape", ())
    if len(shape) == 3:
        # `[H, W, 1]` is a single mask, unless the images are one pixel wide.
        return shape == (len(images), *np.shape(images[0])[:2])
    return len(shape) == 4 and (shape[0] > 1 or len(images) == 1)


def _as_array(value, name):
    """Convert tensors and nested lists to arrays; return anything else as it is."""
    if isinstance(value, Image.Image) or not is_array(value):
        return value
    return to_array(value, name)


def _as_editable(image, name):
    """Bring an image to a kind that can be edited.

    Returns:
        Tuple of a path, bytes, a PIL image or an array, and the dtype that the result
        has; `None` for that of the image.
    """
    if is_bytes(image):
        return image, None
    image = _as_array(image, name)
    dtype = getattr(image, "dtype", None)
    if dtype is None or isinstance(image, Image.Image):
        return image, None
    check_channels_last(image.shape, name)
    is_wide = dtype.kind in "iu" and dtype.name not in ("uint8", "uint16")
    if is_wide and image.size and image.min() >= 0 and image.max() <= 255:
        return image.astype("uint8"), dtype
    return image, None


# === One image ===


class FillPlan:
    """An image, its hole, and the windows that fill it.

    Args:
        image: Path, bytes, open file, PIL image, array, tensor or nested list.
        mask: The same, 1 or white in the hole, or `None` for the image's alpha.
        index: Str that errors add to the names `image` and `mask`.
        options: `InpaintOptions`.
        limit: `MemoryLimit`.

    Raises:
        ValueError: If the image, the mask or the strategy cannot be used.
    """

    def __init__(self, image, mask, index, options, limit):
        image, self.dtype = _as_editable(image, f"image{index}")
        self.image = open_editable(image, f"image{index}")
        self.hole = read_hole(mask, self.image, f"mask{index}", options)
        self.windows = []
        self.limit = limit
        self.feather = options.feather
        self.fills_alpha = mask is None
        if not self.hole.any():
            return
        # A feathered fill mixes in the image's own colors inside the hole.
        used = np.ones_like(self.hole) if self.feather else ~self.hole
        self.image.check_range(used, f"image{index}")
        self.windows = plan_windows(self.hole, options.strategy, options.size, limit)

    def run(self, model):
        """Fill the windows and return the image."""
        unfilled = self.hole.copy()
        sizes = choose_group_sizes(model.generator)
        for group in group_windows(self.windows, self.limit, sizes):
            self._fill(model, group, unfilled)
        if self.fills_alpha:
            self.image.make_opaque(self.hole)
        result = self.image.result()
        return result if self.dtype is None else result.astype(self.dtype)

    def _fill(self, model, windows, unfilled):
        """Fill windows that do not see each other's holes, at once.

        Args:
            model: A `keras_ctsdg.CTSDG`.
            windows: List of `Window` of one network size.
            unfilled: Bool array `[H, W]`, true in the hole that is left.
        """
        parts = []
        for window in windows:
            box, region = _slices(window.box), _slices(window.region)
            targets = np.zeros_like(unfilled)
            targets[region] = unfilled[region]
            if targets.any():
                colors = self.image.read_colors(box)
                inputs = colors, unfilled[box], window.size
                parts.append((box, region, targets[box].copy(), inputs))
        if not parts:
            return
        results = fill_windows(model, [inputs for *_, inputs in parts])
        for (box, region, targets, inputs), filled in zip(parts, results, strict=True):
            if self.feather:
                filled = self._blend(filled, inputs[0], box)
            self.image.replace_colors(box, filled, targets)
            # The next windows see the filled pixels as part of the image.
            unfilled[region] = False

    def _blend(self, filled, colors, box):
        """Blend from the image at the hole's rim to the fill further inside."""
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
