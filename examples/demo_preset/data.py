"""Data sets of crops, and masks that fit them."""

from functools import lru_cache

import numpy as np
from PIL import Image
from scipy import ndimage

from keras_ctsdg.data import InpaintingDataset, RandomIrregularMasks

MASK_RATIO = (0.02, 0.6)
# Masks are drawn at these sizes and cut: strokes drawn at 128 would be too thin.
CANVASES = (256, 256, 512)
# The range of the part that is cut out.
CUT_RATIO = (0.01, 0.65)


class CutMasks(RandomIrregularMasks):
    """Random irregular masks that are parts of larger ones.

    Args:
        mask_ratio: Tuple `(low, high)`, of the larger masks. Defaults to
            `(0.02, 0.6)`.
        seed: Int, not negative. Defaults to `0`.
    """

    def __init__(self, mask_ratio=MASK_RATIO, seed=0):
        super().__init__(mask_ratio, seed)

    def __call__(self, index, size):
        rng = np.random.default_rng([self.seed, 1, *np.atleast_1d(index)])
        for attempt in range(100):
            side = max(int(rng.choice(CANVASES)), *size)
            key = (*np.atleast_1d(index), attempt)
            mask = super().__call__(key, (side, side))
            top, left = (int(rng.integers(side - x + 1)) for x in size)
            mask = mask[top : top + size[0], left : left + size[1]]
            if CUT_RATIO[0] <= mask.mean() <= CUT_RATIO[1]:
                break
        return mask


def vary(image, rng):
    """Vary the colors and the sharpness of an image.

    Args:
        image: Float32 array `[H, W, 3]` in [0, 255].
        rng: `numpy.random.Generator`.

    Returns:
        Float32 array of the same shape.
    """
    if rng.random() < 0.15:
        # Photographs at their full size are softer than those at 1024 pixels.
        sigma = rng.uniform(0.5, 2.0)
        image = ndimage.gaussian_filter(image, (sigma, sigma, 0))
    if rng.random() < 0.2:
        image = image[..., rng.permutation(3)]
    if rng.random() < 0.08:
        image = np.repeat(image.mean(-1, keepdims=True), 3, axis=-1)
    if rng.random() < 0.5:
        gamma = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.07, 3))
        image = 255 * (np.clip(image, 0, 255) / 255) ** gamma
    if rng.random() < 0.3:
        image = np.rot90(image, 2)
    return np.ascontiguousarray(image, "float32")


@lru_cache(maxsize=1)
def _read_images(paths):
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


def read_images(paths):
    """Return images as uint8 arrays `[H, W, 3]`, decoded once."""
    return _read_images(tuple(paths))


def training_data(paths, image_size, batch_size, steps, seed=0):
    """Return the data set of a phase: random crops, varied, with random masks.

    Args:
        paths: List of paths of images, which are kept in memory.
        image_size: Int.
        batch_size: Int.
        steps: Int, the number of batches in an epoch.
        seed: Int. Defaults to `0`.

    Returns:
        `keras_ctsdg.data.InpaintingDataset`.
    """
    return InpaintingDataset(
        read_images(paths),
        CutMasks(seed=seed),
        batch_size=batch_size,
        image_size=image_size,
        edges=None,
        crop="random",
        horizontal_flip=True,
        augment=vary,
        steps_per_epoch=steps,
        seed=seed,
        workers=1,
    )


def fixed_crops(paths, count, image_size=256, mask_ratio=MASK_RATIO, seed=0, **kwargs):
    """Return a data set of the same crops each time, image after image.

    Args:
        paths: List of paths of images.
        count: Int, the number of crops.
        image_size: Int. Defaults to `256`.
        mask_ratio: Tuple `(low, high)`. Defaults to `(0.02, 0.6)`.
        seed: Int, of crops and masks. Defaults to `0`.
        **kwargs: Further arguments of `keras_ctsdg.data.InpaintingDataset`.

    Returns:
        `keras_ctsdg.data.InpaintingDataset`, whose batches have one sample unless
        `batch_size` is passed.
    """
    kwargs = {"batch_size": 1, **kwargs}
    return InpaintingDataset(
        paths,
        RandomIrregularMasks(mask_ratio, seed),
        image_size=image_size,
        edges=None,
        shuffle=False,
        crop="random",
        steps_per_epoch=-(-count // kwargs["batch_size"]),
        seed=seed,
        **kwargs,
    )
