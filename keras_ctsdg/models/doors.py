"""How data enters `fit` and its kin."""

import copy

import keras

from keras_ctsdg import metrics
from keras_ctsdg.models.inputs import check_batch, check_mask_range


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

    def inpaint(
        self,
        image,
        mask=None,
        strategy="auto",
        size=384,
        invert_mask=False,
        threshold=0.5,
        dilate=0,
        feather=0,
        memory_limit=3.0,
    ):
        """Fills the holes in pictures of any kind and size, in their own pixels.

        What is outside the hole comes back bit for bit. The model need not be
        compiled.

        Alpha: with a mask all of it stays, and the network sees the colors that lie
        under what is transparent. Without one, what is transparent by at least
        `threshold` is the hole, and becomes opaque; what is less so stays.

        Args:
            image: A path, a PIL image, an array `[H, W]`, `[H, W, 1]`, `[H, W, 3]`
                or `[H, W, 4]` (uint8, uint16, or floats in [0, 1]), a batch of
                arrays `[B, H, W, C]`, or a list of any of these. PIL images may be
                of mode 1, L, LA, P, PA, RGB, RGBA, CMYK, YCbCr, HSV, I;16, or I
                with 16 bits; of an animation the first picture counts. Floats may
                be anything in the hole, also NaN.
            mask: The hole, white or 1, in a picture of the same size, of any of
                these kinds; one for all pictures, or one for each. It lies as the
                picture is shown, after the rotation in its EXIF; an array may also
                lie as the picture's rows. `None` takes what is transparent in the
                picture for the hole, and makes it opaque. Defaults to `None`.
            strategy: What the network sees. `"full"`: the whole picture, mirrored
                at its borders to a multiple of 128. `"crop"`: each hole with its
                surroundings (a quarter of it on each side, at least 64 pixels) at
                the picture's own resolution; holes whose surroundings overlap come
                together, and a scratch too long for a crop in pieces. `"resize"`:
                the whole picture at the long side `size`. `"auto"`: `"full"` if no
                side is above `size`, else `"crop"`, where a hole too large for
                that is filled at the long side `size`; within `memory_limit`.
                Defaults to `"auto"`.
            size: Int, a long side in pixels. The weights of the paper are trained
                at 256. Defaults to `384`.
            invert_mask: Bool, whether black or 0 marks the hole instead. Defaults
                to `False`.
            threshold: Float in (0, 1], from which value of the mask on a pixel is
                hole. Defaults to `0.5`.
            dilate: Int, pixels by which the hole grows to all sides. Defaults to
                `0`.
            feather: Float in [0, 64], over how many pixels from the hole's rim
                inwards the picture goes over into what is filled. Defaults to
                `0`.
            memory_limit: Float, gigabytes that the network may take, as estimated
                from its size. Defaults to `3.0`.

        Returns:
            The filled pictures as they came: list, batch or one; arrays of the
            same shape and dtype, PIL images of the same mode and size, for a path
            a PIL image of the file's. Palettes keep their colors, the hole gets
            the nearest. Alpha is kept, and `info` holds EXIF and color profile: pass
            `exif=result.info.get("exif")` to `save`. A mask without a hole warns,
            and the picture comes back as it is.

        Raises:
            ValueError: Before any work, if an argument breaks a rule above, a file
                can't be read, sizes differ, a mask covers everything, numbers
                outside the hole are not in [0, 1] or NaN, or `strategy` needs
                more than `memory_limit`.

        Example:

        ```python
        filled = model.inpaint("photo.jpg", "mask.png", dilate=4)
        filled.save("filled.jpg", quality=95, exif=filled.info.get("exif"))
        ```
        """
        # A later room: it knows the models, and only who fills pictures loads it.
        from keras_ctsdg.inpaint import inpaint

        return inpaint(
            self,
            image,
            mask,
            strategy=strategy,
            size=size,
            invert_mask=invert_mask,
            threshold=threshold,
            dilate=dilate,
            feather=feather,
            memory_limit=memory_limit,
        )

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

        record = {}
        if self.compiled:
            record["step"] = int(keras.ops.convert_to_numpy(self.optimizer.iterations))
        write_preset(self, folder, dtype, overwrite, record, with_discriminator)


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

    Arrays are checked whole, the first batch of a `PyDataset` too, of a
    `tf.data.Dataset` the shapes; of a torch `DataLoader` each batch when it comes.

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
        check_batch(batch)
        if not hasattr(data, "element_spec"):
            check_mask_range(batch["mask"])
    return data


class _CollateToTuple:
    """Collates to `(batch,)`: Keras 3.15 takes a loader's dict for its keys.

    Here batches are on the host, where a look at their numbers costs nothing.
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
