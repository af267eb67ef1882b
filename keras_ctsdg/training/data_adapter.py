"""Validate and adapt the data that users pass to `fit`, `evaluate` and `predict`."""

import copy

import keras

from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.training.checked_data import check_data_set

# === Validation ===


def refuse_targets(**arguments):
    """Refuse arguments of Keras' methods that have no part in a `CTSDG`.

    Args:
        **arguments: Values of `y`, `sample_weight` and `class_weight`.

    Raises:
        ValueError: If one of them is not `None`.
    """
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"`{name}` must be None: the targets of a `CTSDG` are the images "
                f"themselves, each of the same weight. Received: {name} of type "
                f"{type(value).__name__}"
            )


def validate_data(data, batch_size=None, shuffle=False):
    """Check data before anything is compiled or run, and each batch when it is loaded.

    Arrays and the first batch of a `PyDataset` or a generator are checked in full
    before that, and a `tf.data.Dataset` by its shapes.

    Args:
        data: Dict of arrays, a data set, or a tuple whose first element is one of them
            and whose others are `None`.
        batch_size: Int or `None`, as in `keras.Model.fit`, for arrays.
        shuffle: Bool, as in `keras.Model.fit`, for arrays.

    Returns:
        The data in the form that Keras expects.

    Raises:
        ValueError: If the data breaks a rule, naming it.
    """
    if isinstance(data, tuple) and data:
        data, *targets = data
        refuse_targets(**dict(zip(("y", "sample_weight"), targets, strict=False)))
    return check_data_set(data, batch_size, shuffle)


# === Epochs ===


def validate_evaluation_data(data, batch_size=None):
    """Check data as `validate_data` does, for a run that must not end an epoch.

    Keras calls `on_epoch_end` after an evaluation or a prediction too, which would
    move an `InpaintingDataset` on to its next epoch.

    Args:
        data: Data as `validate_data` takes it.
        batch_size: Int or `None`, as in `keras.Model.evaluate`, for arrays.

    Returns:
        The data in the form that Keras expects; an `InpaintingDataset` stays at its
        epoch.

    Raises:
        ValueError: If the data breaks a rule, naming it.
    """
    if isinstance(data, InpaintingDataset):
        data = copy.copy(data)
        data.on_epoch_end = _keep_epoch
    return validate_data(data, batch_size)


def _keep_epoch():
    """Do nothing. Worker processes can pickle this, but not a lambda."""


def name_arguments(args, kwargs):
    """Name the positional arguments of `fit` after `y`.

    Args:
        args: Tuple of the positional arguments.
        kwargs: Dict of the keyword arguments.

    Returns:
        Dict of both.
    """
    names = ("batch_size", "epochs", "verbose", "callbacks")
    if len(args) > len(names):
        raise ValueError(
            f"`fit` takes `x`, `y`, `{'`, `'.join(names)}` by position, and all else "
            f"by name. Received: {len(args) + 2} positional arguments"
        )
    return {**kwargs, **dict(zip(names, args, strict=False))}


def follow_epochs(dataset, kwargs):
    """Make an `InpaintingDataset` follow the epochs of `fit`.

    A training that resumes at a later epoch then continues with the images of that
    epoch.

    Args:
        dataset: An `InpaintingDataset`, or other data, to which nothing is done.
        kwargs: Dict, the keyword arguments of `fit`.

    Returns:
        Tuple of the data set and the keyword arguments to pass to Keras.
    """
    if not isinstance(dataset, InpaintingDataset):
        return dataset, kwargs
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
