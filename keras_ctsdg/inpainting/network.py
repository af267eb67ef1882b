"""A part of a picture, filled by the network."""

import numpy as np
from PIL import Image

from keras_ctsdg.data.edges import gray_and_edge
from keras_ctsdg.inpainting.crops import padded_size


def fill_part(model, colors, mask, size=None):
    """Fills the hole in colors of any size.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        colors: Float32 array `[h, w, 3]` in [-1, 1]; in the hole, anything.
        mask: Bool array `[h, w]`, true in the hole.
        size: Tuple `(height, width)` at which the network works. Defaults to the
            size of `colors`.

    Returns:
        Float32 array `[h, w, 3]` in [-1, 1].
    """
    colors = np.where(mask[..., None], np.float32(0), colors)
    if size is None:
        return _predict(model, colors, mask)
    # Where a pixel of the smaller picture has a part in the hole, it is hole.
    small_mask = _resize(mask[..., None].astype("float32"), size)[..., 0] > 1e-6
    small = np.clip(_resize(colors, size), -1, 1)
    filled = _predict(model, np.where(small_mask[..., None], 0, small), small_mask)
    return np.clip(_resize(filled, mask.shape, Image.Resampling.BICUBIC), -1, 1)


def _predict(model, colors, mask):
    height, width = mask.shape
    below, right = np.subtract(padded_size(mask.shape), mask.shape)
    margins = ((0, below), (0, right))
    # The hole is mirrored too: what it holds is not to be seen there either.
    mask = np.pad(mask, margins, "reflect")
    image = np.pad(colors, (*margins, (0, 0)), "reflect")
    gray, edge = gray_and_edge(image, model.edges, model.sigma, mask)
    inputs = {
        "image": image,
        "gray": gray,
        "edge": edge,
        "mask": mask[..., None].astype("float32"),
    }
    filled = model.predict_on_batch({key: x[None] for key, x in inputs.items()})
    return np.asarray(filled, "float32")[0, :height, :width]


def _resize(levels, size, resampling=Image.Resampling.BILINEAR):
    """Antialiased, in floats: a byte would be too coarse for 16 bits a channel."""
    bands = [
        Image.fromarray(np.ascontiguousarray(levels[..., i])).resize(
            size[::-1], resampling
        )
        for i in range(levels.shape[-1])
    ]
    return np.stack([np.asarray(band) for band in bands], axis=-1)
