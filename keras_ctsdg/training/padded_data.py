"""Batches that several devices can divide among themselves.

A sample of `sample_weight` 0 only fills up its batch: it counts in no loss, gradient,
statistic or metric, and `predict` leaves it out.
"""

import keras
import numpy as np


def pad_to_multiple(inputs, multiple):
    """Repeat the last sample until a number divides the batch.

    Args:
        inputs: Dict of arrays or tensors with a batch axis in front.
        multiple: Int, or 0, with which the batch is returned as it is.

    Returns:
        Dict of arrays, with `sample_weight` `[B]`.
    """
    if not multiple:
        return inputs
    inputs = {k: keras.ops.convert_to_numpy(x) for k, x in inputs.items()}
    size = len(inputs["image"])
    rows = np.minimum(np.arange(size + -size % multiple), size - 1)
    weights = inputs.get("sample_weight", np.ones(size, "float32"))
    weights = np.pad(weights, (0, -size % multiple)).astype("float32")
    return {**{k: x[rows] for k, x in inputs.items()}, "sample_weight": weights}


def pad_tensors_to_multiple(inputs, multiple):
    """Do as `pad_to_multiple` in a graph of TensorFlow, for `tf.data.Dataset.map`."""
    if not multiple:
        return inputs
    import tensorflow as tf

    size = tf.shape(inputs["image"])[0]
    missing = -size % multiple
    weights = inputs.get("sample_weight", tf.ones([size]))
    rows = tf.minimum(tf.range(size + missing), size - 1)
    padded = {key: tf.gather(x, rows) for key, x in inputs.items()}
    padded["sample_weight"] = tf.pad(weights, [[0, missing]])
    return padded


def leave_out_padding(filled):
    """Return the predictions of samples whose weight is not 0.

    Args:
        filled: Array `[B, H, W, 3]`, or dict of it, as `image`, and `sample_weight`.
    """
    if not isinstance(filled, dict):
        return filled
    weights = np.asarray(filled["sample_weight"])
    return np.asarray(filled["image"])[weights > 0]


class PaddedArrays(keras.utils.PyDataset):
    """Arrays in batches that a number divides.

    Args:
        arrays: Dict of arrays with a batch axis in front.
        batch_size: Int, or `None` for Keras' default of 32.
        multiple: Int, as `pad_to_multiple` takes it.
        shuffle: Bool, whether each epoch has another order. Defaults to `False`.
    """

    def __init__(self, arrays, batch_size, multiple, shuffle=False):
        super().__init__()
        self.arrays = {k: keras.ops.convert_to_numpy(x) for k, x in arrays.items()}
        self.batch_size = batch_size or 32
        self.multiple = multiple
        # `keras.utils.set_random_seed` decides the order.
        self.rng = np.random.default_rng(np.random.randint(2**31)) if shuffle else None
        self.order = np.arange(len(self.arrays["image"]))
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index):
        start = index * self.batch_size
        rows = self.order[start : start + self.batch_size]
        batch = {key: x[rows] for key, x in self.arrays.items()}
        return pad_to_multiple(batch, self.multiple)

    def on_epoch_end(self):
        if self.rng is not None:
            self.order = self.rng.permutation(len(self.order))
