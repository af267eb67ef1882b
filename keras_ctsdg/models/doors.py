"""How data enters `fit` and its kin."""

import copy

import keras

from keras_ctsdg import metrics
from keras_ctsdg.models.inputs import check_inputs, check_mask_range


class Doors(keras.Model):
    """A model that refuses bad data before anything is compiled or run."""

    def fit(self, x=None, *args, **kwargs):
        if _has_epochs(x):
            x, kwargs = _with_epochs_of(x, kwargs)
        if kwargs.get("validation_data") is not None:
            kwargs["validation_data"] = _still(_admit(kwargs["validation_data"]))
        return super().fit(_admit(x), *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        logs = super().evaluate(_still(_admit(x)), *args, **kwargs)
        # So does `fit` mark validation, whose progress bar has no room for each share.
        if kwargs.get("_use_cached_eval_dataset"):
            logs = {name: x for name, x in logs.items() if not metrics.is_group(name)}
        return logs

    def predict(self, x, *args, **kwargs):
        return super().predict(_still(_admit(x)), *args, **kwargs)

    def train_on_batch(self, x, *args, **kwargs):
        return super().train_on_batch(_admit(x), *args, **kwargs)

    def test_on_batch(self, x, *args, **kwargs):
        return super().test_on_batch(_admit(x), *args, **kwargs)

    def predict_on_batch(self, x):
        return super().predict_on_batch(_admit(x))

    def save_to_preset(
        self, folder, dtype="float32", with_discriminator=True, overwrite=False
    ):
        """Writes the networks to a folder, for `keras_ctsdg.from_preset`.

        With Keras' own files of a model and a model card; without the optimizers of
        a training, for which `save` is.

        Args:
            folder: Path of the folder. It must not exist yet, or be empty.
            dtype: `"float32"`, or `"float16"` for kernels of half the size. Defaults
                to `"float32"`.
            with_discriminator: Bool. `False` writes the generator alone, which is
                enough to fill pictures. Defaults to `True`.
            overwrite: Bool, whether a preset that is there is replaced. Defaults to
                `False`.

        Raises:
            ValueError: If an argument breaks a rule above.

        Example:

        ```python
        model.save_to_preset("faces", dtype="float16", with_discriminator=False)
        model = keras_ctsdg.from_preset("faces")
        ```
        """
        # A later room, whose door this is.
        from keras_ctsdg.preset_files import write_preset

        model, record = self, {}
        if not with_discriminator:
            model = type(self)(self.generator, edges=self.edges)
        if self.compiled:
            record["step"] = int(keras.ops.convert_to_numpy(self.optimizer.iterations))
        write_preset(model, folder, dtype, overwrite, record)


def _has_epochs(data):
    """Whether it is an `InpaintingDataset`, which is in a room that knows this one."""
    names = ("epoch", "steps_per_epoch", "num_items", "pair")
    return isinstance(data, keras.utils.PyDataset) and all(
        hasattr(data, name) for name in names
    )


def _still(data):
    """Data on which Keras' evaluation, which ends epochs, moves no `epoch`."""
    if _has_epochs(data):
        data = copy.copy(data)
        data.on_epoch_end = _stay
    return data


def _stay():
    """A function of its own, as worker processes may need to pickle it."""


def _with_epochs_of(dataset, kwargs):
    """Lets a data set that has an order of its own follow the epochs of `fit`.

    Args:
        dataset: An `InpaintingDataset`.
        kwargs: Dict, the arguments of `fit`.

    Returns:
        The data set and the arguments with which `fit` keeps the order and, resumed
        at a later epoch, goes on with that epoch's pictures.
    """
    kwargs = {"shuffle": False, **kwargs}
    data = dataset
    if kwargs.get("steps_per_epoch"):
        # Keras would go on in one pass, through orders of several epochs. Where the
        # order never changes it may: else the first pictures alone would come.
        if not dataset.shuffle:
            return dataset, kwargs
        data = copy.copy(dataset)
        data.steps_per_epoch = kwargs.pop("steps_per_epoch")
    callbacks = keras.tree.flatten(kwargs.get("callbacks") or [])
    kwargs["callbacks"] = [_FollowEpochs(dataset, data), *callbacks]
    return data, kwargs


class _FollowEpochs(keras.callbacks.Callback):
    """Sets the epoch of a user's data set, and of what stands for it in `fit`."""

    def __init__(self, dataset, data):
        super().__init__()
        self.dataset = dataset
        self.data = data
        self.next = dataset.epoch
        self.ahead = None

    def on_epoch_begin(self, epoch, logs=None):
        if self.ahead is None:
            # A second `fit` from epoch 0 on should see new pictures.
            self.ahead = max(0, self.next - epoch)
        self.dataset.epoch = self.data.epoch = epoch + self.ahead

    def on_epoch_end(self, epoch, logs=None):
        self.dataset.epoch = self.data.epoch = epoch + self.ahead + 1


def _admit(data):
    """Checks data for `fit` and its kin before anything is compiled or run.

    Arrays are checked whole, the first batch of a `PyDataset` too; of a
    `tf.data.Dataset` the shapes. The rest is checked when it comes.

    Args:
        data: Dict of arrays, a data set, or a tuple that holds one of them.

    Returns:
        `data` as Keras should get it.

    Raises:
        ValueError: If it breaks a rule, naming it.
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
        check_inputs(batch)
        if not hasattr(data, "element_spec"):
            check_mask_range(batch["mask"])
    return data


class _CollateToTuple:
    """Collates to `(batch,)`: Keras 3.15 takes a loader's dict for its keys."""

    def __init__(self, collate):
        self.collate = collate

    def __call__(self, items):
        batch = self.collate(items)
        return (batch,) if isinstance(batch, dict) else batch
