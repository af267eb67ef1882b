"""Validate and adapt the data that users pass to `fit`, `evaluate` and `predict`."""

import copy

import keras

from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.models._input_checks import check_batch, check_mask_range

# === Validation ===


def validate_data(data):
    """Check data before anything is compiled or run.

    Arrays and the first batch of a `PyDataset` are checked in full, and a
    `tf.data.Dataset` by its shapes. Batches of a torch `DataLoader` are checked in
    full when they are loaded.

    Args:
        data: Dict of arrays, a data set, or a tuple whose first element is a dict of
            arrays.

    Returns:
        The data in the form that Keras expects.

    Raises:
        ValueError: If the data breaks a rule, naming it.
    """
    if hasattr(data, "collate_fn"):  # A torch DataLoader
        data = copy.copy(data)
        data.collate_fn = _CollateToTuple(data.collate_fn)
        return data
    batch = data
    if isinstance(data, keras.utils.PyDataset):
        batch = data[0]
    elif hasattr(data, "element_spec"):  # A tf.data.Dataset
        batch = data.element_spec
    if isinstance(batch, (list, tuple)):
        batch = batch[0]
    if isinstance(batch, dict):
        check_batch(batch)
        if not hasattr(data, "element_spec"):
            check_mask_range(batch["mask"])
    return data


class _CollateToTuple:
    """A collate function that checks each batch and returns it as `(batch,)`.

    Keras 3.15 takes a dict from a loader for a tuple and iterates over its keys
    (keras-team/keras#23096). A loader's batches are on the host, where checking
    their values costs little.
    """

    def __init__(self, collate):
        self.collate = collate

    def __call__(self, samples):
        batch = self.collate(samples)
        if not isinstance(batch, dict):
            return batch
        check_batch(batch)
        check_mask_range(batch["mask"])
        return (batch,)


# === Epochs ===


def validate_evaluation_data(data):
    """Check data as `validate_data` does, for a run that must not end an epoch.

    Keras calls `on_epoch_end` after an evaluation or a prediction too, which would
    move an `InpaintingDataset` on to its next epoch.

    Args:
        data: Dict of arrays, a data set, or a tuple whose first element is a dict of
            arrays.

    Returns:
        The data in the form that Keras expects; a copy of an `InpaintingDataset` that
        stays at its epoch.

    Raises:
        ValueError: If the data breaks a rule, naming it.
    """
    data = validate_data(data)
    if isinstance(data, InpaintingDataset):
        data = copy.copy(data)
        data.on_epoch_end = _keep_epoch
    return data


def _keep_epoch():
    """Do nothing. Worker processes can pickle this, but not a lambda."""


def follow_epochs(dataset, kwargs):
    """Make an `InpaintingDataset` follow the epochs of `fit`.

    A training that resumes at a later epoch then continues with the images of that
    epoch.

    Args:
        dataset: An `InpaintingDataset`.
        kwargs: Dict, the keyword arguments of `fit`.

    Returns:
        Tuple of the data set and the keyword arguments to pass to Keras.
    """
    kwargs = {"shuffle": False, **kwargs}
    data = dataset
    if kwargs.get("steps_per_epoch"):
        # Keras would spread one epoch of the data set over several epochs of `fit`.
        # Without `shuffle` this is right: the steps then continue in order.
        if not dataset.shuffle:
            return dataset, kwargs
        data = copy.copy(dataset)
        data.steps_per_epoch = kwargs.pop("steps_per_epoch")
    callbacks = keras.tree.flatten(kwargs.get("callbacks") or [])
    kwargs["callbacks"] = [_FollowEpochs(dataset, data), *callbacks]
    return data, kwargs


class _FollowEpochs(keras.callbacks.Callback):
    """Set the epoch of a user's data set and of the copy that `fit` iterates over."""

    def __init__(self, dataset, data):
        super().__init__()
        self.dataset = dataset
        self.data = data
        self.next_epoch = dataset.epoch
        self.offset = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.offset is None:
            # A second `fit` counts from 0 again, but should see new samples.
            self.offset = max(0, self.next_epoch - epoch)
        self.dataset.epoch = self.data.epoch = epoch + self.offset

    def on_epoch_end(self, epoch, logs=None):
        self.dataset.epoch = self.data.epoch = epoch + self.offset + 1
