"""Data sets of every kind whose batches are checked as they are loaded.

A batch is checked where it is made: in the workers, in the threads of `tf.data`, or in
the process that trains, always on the host.
"""

import contextlib
import copy
import re

import keras
import numpy as np

from keras_ctsdg.models._input_checks import check_batch
from keras_ctsdg.models._value_checks import check_values
from keras_ctsdg.training.distribution import batch_multiple
from keras_ctsdg.training.padded_data import (
    PaddedArrays,
    pad_tensors_to_multiple,
    pad_to_multiple,
)


class BatchError(ValueError):
    """A batch of a data set breaks a rule."""


@contextlib.contextmanager
def plain_batch_errors():
    """Raise a `BatchError` as it was raised where the batch was made.

    `tf.data` and worker processes put it into an error of their own, whose message
    contains the whole trace.
    """
    try:
        yield
    except Exception as error:
        message = _find_message(error)
        if message is None:
            raise
        raise BatchError(message) from None


def _find_message(error):
    """Return the message of the `BatchError` that caused an error, or `None`."""
    if isinstance(error, BatchError) and "\n" not in str(error):
        return str(error)
    match = re.search(r"\bBatchError: (.*)", str(error))
    return match and match.group(1)


# === One batch ===


def check_data(batch, name="A batch", suffix=""):
    """Check the shapes and all values of a batch, or of a dict of arrays.

    Args:
        batch: Dict of arrays or tensors, or a tuple of it and nothing else but `None`.
        name: Str that begins the error for what is no dict. Defaults to `"A batch"`.
        suffix: Str that ends every error, such as the batch's index. Defaults to `""`.

    Returns:
        Dict of the inputs of the networks and `sample_weight`, if any, alone.

    Raises:
        BatchError: If the batch breaks a rule of `keras_ctsdg.CTSDG`.
    """
    inputs = unpack_batch(batch, name, suffix)
    try:
        keys = check_batch(inputs)
        check_values(inputs, keys)
    except ValueError as error:
        raise BatchError(f"{error}{suffix}") from None
    if "sample_weight" in inputs:
        _check_weights(inputs["sample_weight"], len(inputs["image"]), suffix)
        keys = (*keys, "sample_weight")
    if len(keys) == len(inputs):
        return inputs
    # Names of files, for instance, are of no use on a device.
    return {key: inputs[key] for key in keys}


def _check_weights(weights, size, suffix):
    values = keras.ops.convert_to_numpy(weights)
    is_valid = values.shape == (size,) and np.isfinite(values).all()
    if not is_valid or values.min() < 0:
        raise BatchError(
            "`sample_weight` must hold a finite number from 0 on for each sample. "
            f"Received: sample_weight of shape {values.shape} for {size} samples"
            f"{suffix}"
        )


def unpack_batch(batch, name="A batch", suffix=""):
    """Return the dict of a batch, which may be alone in a tuple.

    Args:
        batch: Dict, or a tuple of it and nothing else but `None`.
        name: Str that begins the error for what is no dict. Defaults to `"A batch"`.
        suffix: Str that ends the error. Defaults to `""`.

    Returns:
        Dict.

    Raises:
        BatchError: If the batch is no dict, or has targets or sample weights.
    """
    inputs = batch
    if isinstance(batch, (list, tuple)) and batch:
        inputs, *others = batch
        if any(other is not None for other in others):
            inputs = None
    if isinstance(inputs, dict):
        return inputs
    raise BatchError(
        f"{name} must be a dict of `image`, `mask` and, unless the model computes "
        "them, `gray` and `edge`: the targets are the images themselves. "
        f"Received: {_describe(batch)}{suffix}"
    )


def _describe(value):
    """Return the type of a value, and those of its first items, without any array."""
    name = type(value).__name__
    if not isinstance(value, (list, tuple)):
        return (
            f"{name} of shape {tuple(value.shape)}" if hasattr(value, "shape") else name
        )
    items = ", ".join(_describe(item) for item in value[:3])
    return f"{name} of {len(value)}: {items}{', ...' if len(value) > 3 else ''}"


# === Data sets ===


def check_data_set(data, batch_size=None, shuffle=False):
    """Return data whose batches are checked, and divided by the devices.

    Args:
        data: Dict of arrays, `keras.utils.PyDataset`, `tf.data.Dataset`, torch
            `DataLoader`, generator or another iterator.
        batch_size: Int or `None`, as in `keras.Model.fit`, for arrays.
        shuffle: Bool, as in `keras.Model.fit`, for arrays.

    Returns:
        The data in the form that Keras expects.

    Raises:
        BatchError: If the data breaks a rule of `keras_ctsdg.CTSDG`.
    """
    if isinstance(data, keras.utils.PyDataset):
        return CheckedDataset(data)
    if hasattr(data, "element_spec"):
        return _check_tf_data(data)
    if hasattr(data, "collate_fn"):
        return _check_loader(data)
    if hasattr(data, "__next__"):
        return _check_iterator(data)
    is_plain = isinstance(data, (dict, list, tuple, str)) or hasattr(data, "shape")
    if hasattr(data, "__iter__") and not is_plain:
        return data  # Keras knows more kinds, such as Grain's.
    arrays = check_data(
        data,
        "Data that is no `PyDataset`, `tf.data.Dataset`, `DataLoader` or generator",
    )
    multiple = batch_multiple()
    if not multiple:
        return arrays
    return PaddedArrays(arrays, batch_size, multiple, shuffle)


class CheckedDataset(keras.utils.PyDataset):
    """A `PyDataset` that checks the batches of another one.

    Args:
        dataset: A `keras.utils.PyDataset`.
    """

    def __init__(self, dataset):
        super().__init__(
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )
        self.dataset = dataset
        # A resumed training has no use for the batches before this index.
        self.skipped = 0
        self._example = {}
        # Worker processes do not know the devices.
        self.multiple = batch_multiple()
        if dataset.num_batches != 0:
            self._example = self[0]

    @property
    def num_batches(self):
        return self.dataset.num_batches

    def __getitem__(self, index):
        if index < self.skipped:
            return self._example
        batch = check_data(self.dataset[index], suffix=f", in batch {index}")
        return pad_to_multiple(batch, self.multiple)

    def on_epoch_begin(self):
        self.dataset.on_epoch_begin()

    def on_epoch_end(self):
        self.dataset.on_epoch_end()


def _check_iterator(batches):
    for index, batch in enumerate(batches):
        # Keras takes tuples alone from a generator.
        batch = check_data(batch, suffix=f", in batch {index}")
        yield (pad_to_multiple(batch, batch_multiple()),)


def _check_tf_data(dataset):
    inputs = unpack_batch(dataset.element_spec)
    keys = check_batch(inputs)
    if "sample_weight" in inputs:
        keys = (*keys, "sample_weight")
    if not hasattr(dataset, "map"):  # It is distributed over replicas.
        return dataset
    import tensorflow as tf

    multiple = batch_multiple()

    def check(index, *values):
        check_data(dict(zip(keys, values, strict=True)), suffix=f", in batch {index}")
        return True

    def add_check(index, batch):
        inputs = unpack_batch(batch)
        values = [inputs[key] for key in keys]
        is_checked = tf.numpy_function(check, [index, *values], tf.bool)
        with tf.control_dependencies([is_checked]):
            checked = {key: tf.identity(inputs[key]) for key in keys}
        return pad_tensors_to_multiple(checked, multiple)

    # The check of a batch must not wait until a step asks for it.
    return dataset.enumerate().map(add_check).prefetch(1)


def _check_loader(loader):
    kind = type(loader)
    loader = copy.copy(loader)
    loader.collate_fn = _CheckedCollate(loader.collate_fn)
    # Keras wants a `DataLoader`, and iteration is looked up in the class.
    iterate = _number_errors(kind.__iter__)
    loader.__class__ = type(kind.__name__, (kind,), {"__iter__": iterate})
    return loader


class _CheckedCollate:
    """A collate function that checks each batch and returns it as `(batch,)`.

    Keras 3.15 takes a dict from a loader for a tuple and iterates over its keys
    (keras-team/keras#23096).
    """

    def __init__(self, collate):
        self.collate = collate
        self.multiple = batch_multiple()

    def __call__(self, samples):
        batch = check_data(self.collate(samples))
        return (pad_to_multiple(batch, self.multiple),)


def _number_errors(iterate):
    """Return the `__iter__` of a loader with errors that name the index of the batch.

    The collate function does not know it, because it may run in a worker process.
    """

    def iterate_numbered(loader):
        batches, index = iterate(loader), 0
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except BatchError as error:
                message = f"{_find_message(error)}, in batch {index}"
                raise BatchError(message) from None
            yield batch
            index += 1

    return iterate_numbered
