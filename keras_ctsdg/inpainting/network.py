"""Windows of an image, filled by the network."""

import numpy as np
from PIL import Image

from keras_ctsdg.conventions import STRUCTURE_KEYS
from keras_ctsdg.data._batches import stack_samples
from keras_ctsdg.data.edges import gray_and_edge
from keras_ctsdg.inpainting.crops import padded_size
from keras_ctsdg.inpainting.windows import fixed_size


def fill_windows(model, windows):
    """Fill the holes in windows of any size, in one batch.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        windows: List of tuples: float32 array `[h, w, 3]` in [-1, 1], whose values in
            the hole are ignored; bool array `[h, w]`, true in the hole; and
            `(height, width)` to which the window is resized for the network, or `None`
            for its own size. Padded for the network, all have one size.

    Returns:
        List of float32 arrays `[h, w, 3]` in [-1, 1].

    Raises:
        ValueError: If the network's result is not finite.
    """
    inputs, sizes = [], []
    for image, hole, size in windows:
        image = np.where(hole[..., None], np.float32(0), image)
        if size is not None:
            # A pixel of the resized window that mixes in any part of the hole is hole.
            hole = _resize(hole[..., None].astype("float32"), size)[..., 0] > 1e-6
            image = np.clip(_resize(image, size), -1, 1)
            image = np.where(hole[..., None], 0, image)
        inputs.append(_make_sample(model, image, hole))
        sizes.append(hole.shape)
    filled = np.asarray(model.predict_on_batch(stack_samples(inputs)), "float32")
    results = []
    for (_, hole, size), (height, width), result in zip(
        windows, sizes, filled, strict=True
    ):
        result = result[:height, :width]
        if size is not None:
            result = _resize(result, hole.shape, Image.Resampling.BICUBIC)
            result = np.clip(result, -1, 1)
        results.append(result)
    return results


def _make_sample(model, image, hole):
    """Return the network's input, mirrored up to the size that the network takes."""
    size = fixed_size(model.generator) or padded_size(hole.shape)
    below, right = np.subtract(size, hole.shape)
    padding = ((0, below), (0, right))
    # The mirrored part repeats the hole, because its content is unknown there too.
    hole = np.pad(hole, padding, "reflect")
    image = np.pad(image, (*padding, (0, 0)), "reflect").astype("float32")
    inputs = {"image": image, "mask": hole[..., None].astype("float32")}
    # Exported files compute gray and edge themselves.
    if model.edges is not None:
        structure = gray_and_edge(image, model.edges, model.sigma, hole)
        inputs |= zip(STRUCTURE_KEYS, structure, strict=True)
    return inputs


def _resize(array, size, resampling=Image.Resampling.BILINEAR):
    """Resize `[h, w, C]` with antialiasing, in floats to keep 16 bits per band."""
    bands = [
        Image.fromarray(np.ascontiguousarray(array[..., i])).resize(
            size[::-1], resampling
        )
        for i in range(array.shape[-1])
    ]
    return np.stack([np.asarray(band) for band in bands], axis=-1)
