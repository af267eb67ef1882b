"""One window of an image, filled by the network."""

import numpy as np
from PIL import Image

from keras_ctsdg.conventions import STRUCTURE_KEYS
from keras_ctsdg.data.edges import gray_and_edge
from keras_ctsdg.inpainting.crops import padded_size
from keras_ctsdg.inpainting.windows import fixed_size


def fill_window(model, image, hole, size=None):
    """Fill the hole in a window of any size.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        image: Float32 array `[h, w, 3]` in [-1, 1]; values in the hole are ignored.
        hole: Bool array `[h, w]`, true in the hole.
        size: Tuple `(height, width)` to which the window is resized for the network.
            Defaults to `None`, the window's own size.

    Returns:
        Float32 array `[h, w, 3]` in [-1, 1].
    """
    image = np.where(hole[..., None], np.float32(0), image)
    if size is None:
        return _predict(model, image, hole)
    # A pixel of the resized window that mixes in any part of the hole is hole.
    small_hole = _resize(hole[..., None].astype("float32"), size)[..., 0] > 1e-6
    small = np.clip(_resize(image, size), -1, 1)
    filled = _predict(model, np.where(small_hole[..., None], 0, small), small_hole)
    return np.clip(_resize(filled, hole.shape, Image.Resampling.BICUBIC), -1, 1)


def _predict(model, image, hole):
    """Fill a window at its own size, mirrored up to the size that the network takes."""
    height, width = hole.shape
    size = fixed_size(model.generator) or padded_size(hole.shape)
    below, right = np.subtract(size, hole.shape)
    padding = ((0, below), (0, right))
    # The mirrored part repeats the hole, because its content is unknown there too.
    hole = np.pad(hole, padding, "reflect")
    image = np.pad(image, (*padding, (0, 0)), "reflect")
    inputs = {"image": image, "mask": hole[..., None].astype("float32")}
    # Exported files compute gray and edge themselves.
    if model.edges is not None:
        structure = gray_and_edge(image, model.edges, model.sigma, hole)
        inputs |= zip(STRUCTURE_KEYS, structure, strict=True)
    filled = model.predict_on_batch({key: x[None] for key, x in inputs.items()})
    return np.asarray(filled, "float32")[0, :height, :width]


def _resize(array, size, resampling=Image.Resampling.BILINEAR):
    """Resize `[h, w, C]` with antialiasing, in floats to keep 16 bits per band."""
    bands = [
        Image.fromarray(np.ascontiguousarray(array[..., i])).resize(
            size[::-1], resampling
        )
        for i in range(array.shape[-1])
    ]
    return np.stack([np.asarray(band) for band in bands], axis=-1)
