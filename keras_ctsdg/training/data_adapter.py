"""Prepares what users pass to `fit`, `evaluate` and `predict` for Keras."""

import copy

import keras

from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.models._input_checks import check_batch, check_mask_range

# === Validation ===


def validate_data(data):
    """Check data before anything is compiled or run.

    Arrays and the first batch of a `PyDataset` are checked in full, a
    `tf.data.Dataset` by its shapes, a torch `DataLoader` batch by batch as it yields.

    Args:
        data: Dict of arrays, a data set, or a tuple that holds one of them.

    Returns:
        The data in the form that Keras takes.

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
    """Collate to `(batch,)`, and check each batch.

    Keras 3.15 iterates over the keys of a loader's dict (keras-team/keras#23096).
    Batches of a loader are on the host, where checking their values costs little.
    """

    def __init__(self, collate):
        self.collate = collate

    def __call__(self, items):
        batch = self.collate(items)
        if not isinstance(batch, dict):
            return batch
        check_batch(batch)
        check_mask_range(batch["mask"])
        return (batch,)


# === Epochs ===


def validate_evaluation_data(data):
    """Check data as `validate_data` does, and keep the epoch of a data set.

    Keras ends an epoch of the data set after an evaluation, too, so a copy is
    returned.

    Args:
        data: As `validate_data` takes it.

    Returns:
        The data in the form that Keras takes.
    """
    data = validate_data(data)
    if isinstance(data, dict):
        return dict(data)
    if isinstance(data, InpaintingDataset):
        data = copy.copy(data)
        data.on_epoch_end = _keep_epoch
    return data


def _keep_epoch():
    """Do nothing; a function of the module, as worker processes pickle it."""


def follow_epochs(dataset, kwargs):
    """Let an `InpaintingDataset` follow the epochs of `fit`.

    A training that is resumed at a later epoch goes on with that epoch's images.

    Args:
        dataset: An `InpaintingDataset`.
        kwargs: Dict, the keyword arguments of `fit`.

    Returns:
        Tuple of the data set and the keyword arguments for Keras.
    """
    kwargs = {"shuffle": False, **kwargs}
    data = dataset
    if kwargs.get("steps_per_epoch"):
        # Keras would go through one pass, across the orders of several epochs.
        # Without `shuffle` the order never changes, and that is what is wanted.
        if not dataset.shuffle:
            return dataset, kwargs
        data = copy.copy(dataset)
        data.steps_per_epoch = kwargs.pop("steps_per_epoch")
    callbacks = keras.tree.flatten(kwargs.get("callbacks") or [])
    kwargs["callbacks"] = [_FollowEpochs(dataset, data), *callbacks]
    return data, kwargs


class _FollowEpochs(keras.callbacks.Callback):
    """Set the epoch of a user's data set and of the copy that `fit` goes through."""

    def __init__(self, dataset, data):
        super().__init__()
        self.dataset = dataset
        self.data = data
        self.next_epoch = dataset.epoch
        self.offset = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.offset is None:
            # A second `fit`, which counts from 0 again, should see new images.
            self.offset = max(0, self.next_epoch - epoch)
        self.dataset.epoch = self.data.epoch = epoch + self.offset

    def on_epoch_end(self, epoch, logs=None):
        self.dataset.epoch = self.data.epoch = epoch + self.offset + 1
