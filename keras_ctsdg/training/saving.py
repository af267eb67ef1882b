"""Saving that never costs a good file."""

import contextlib
import os
from pathlib import Path

import keras

from keras_ctsdg.models._value_checks import check_finite_weights
from keras_ctsdg.training.distribution import is_main_process

FILE_ENDINGS = (".keras", ".h5", ".hdf5")


class SafeSaving(keras.Model):
    """A model that saves finite weights only, and a file completely or not at all.

    Of several processes that train together, only the first one writes.
    """

    def save(self, filepath, overwrite=True, zipped=None, **kwargs):
        if not is_main_process():
            return None
        check_finite_weights(self, "be saved")
        with replace_when_complete(filepath, overwrite) as path:
            return super().save(path, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(self, filepath, overwrite=True, max_shard_size=None):
        if not is_main_process():
            return None
        check_finite_weights(self, "be saved")
        # Shards have names of their own.
        with replace_when_complete(filepath, overwrite and not max_shard_size) as path:
            return super().save_weights(path, overwrite, max_shard_size)


@contextlib.contextmanager
def replace_when_complete(filepath, overwrite=True):
    """Write a file under another name, and rename it once all went well.

    Args:
        filepath: Path of a file, or anything else that Keras saves to.
        overwrite: Bool. `False` leaves all to Keras, which then asks the user.
            Defaults to `True`.

    Yields:
        The path to write to, with the same ending; `filepath` itself if it is not the
        path of a file on this machine.
    """
    is_path = isinstance(filepath, (str, os.PathLike))
    if not overwrite or not is_path or not str(filepath).endswith(FILE_ENDINGS):
        yield filepath
        return
    target = Path(os.path.realpath(filepath))
    if not target.parent.is_dir() or target.is_dir():
        yield filepath
        return
    partial = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
