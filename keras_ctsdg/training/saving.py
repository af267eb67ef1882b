"""Saving that never costs a good file."""

import contextlib
import errno
import os
from pathlib import Path

import keras

from keras_ctsdg.models._value_checks import check_finite_weights
from keras_ctsdg.training.distribution import alone, is_main_process

FILE_ENDINGS = (".keras", ".h5", ".hdf5")
# What goes wrong on a disk, not in a program.
DISK_ERRORS = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "EFBIG")
    if hasattr(errno, name)
}


class SafeSaving(keras.Model):
    """A model that saves finite weights only, and a file completely or not at all.

    Of several processes that train together, only the first one writes.
    """

    def save(self, filepath, overwrite=True, zipped=None, **kwargs):
        if not is_main_process():
            return None
        check_finite_weights(self, "be saved")
        # Keras creates an optimizer to learn which attributes it need not save.
        with replace_when_complete(filepath, overwrite) as path, alone():
            return super().save(path, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(self, filepath, overwrite=True, max_shard_size=None):
        if not is_main_process():
            return None
        check_finite_weights(self, "be saved")
        # Shards have names of their own.
        is_whole = overwrite and not max_shard_size
        with replace_when_complete(filepath, is_whole) as path, alone():
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
    with replace_file(target) as partial:
        yield partial


@contextlib.contextmanager
def replace_file(filepath):
    """Write a file under another name, and rename it once it is on the disk.

    Args:
        filepath: Path of the file, in a folder that exists. A link keeps its place.

    Yields:
        `pathlib.Path` to write to, with the same ending.

    Raises:
        OSError: As `named_disk_errors` raises it.
    """
    target = Path(os.path.realpath(filepath))
    partial = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        with named_disk_errors(target):
            yield partial
            sync_to_disk(partial)
            os.replace(partial, target)
            sync_to_disk(target.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def named_disk_errors(path):
    """Raise the error of a full or broken disk in one line that names the file.

    Keras and h5py may raise an error of their own after that of the disk.

    Args:
        path: Path of what is written.
    """
    try:
        yield
    except Exception as error:
        cause = find_disk_error(error)
        if cause is None:
            raise
        message = f"{os.strerror(cause.errno or 0)}, so it could not be written"
        raise OSError(cause.errno, message, str(path)) from None


def find_disk_error(error):
    """Return the `OSError` of a disk that led to an error, or `None`."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return error
        error = error.__cause__ or error.__context__
    return None


def sync_to_disk(path):
    """Wait until a file, or the names in a folder, are on the disk.

    Otherwise a file could be renamed, and lose its content when the machine stops.

    Args:
        path: Path of a file or a folder.
    """
    if os.name == "nt" and Path(path).is_dir():
        return  # Windows cannot open a folder.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partial_files(folder):
    """Remove the files that killed processes of this machine began to write.

    Args:
        folder: Path of a folder, which need not exist.
    """
    for ending in (*FILE_ENDINGS, ".csv"):
        for path in Path(folder).glob(f".*{ending}"):
            process_id = path.name.split(".")[1]
            if process_id.isdecimal() and not _is_running(int(process_id)):
                path.unlink(missing_ok=True)


def _is_running(process_id):
    # In a container, a process often has the number of the one that was killed.
    if process_id == os.getpid():
        return False
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
