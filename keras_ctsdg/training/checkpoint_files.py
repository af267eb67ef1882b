"""Checkpoints on disk: folders that are complete and verified, or not there at all."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # On Windows.
    fcntl = None

from keras_ctsdg.training.saving import named_disk_errors, sync_to_disk

MANIFEST = "manifest.json"
MODEL = "model.keras"
STATE = "state.json"
FILES = (MODEL, STATE)
NAME = re.compile(r"epoch_(\d+)_step_(\d+)")
PARTIAL = ".partial"
LOCK = ".lock"


class DamagedCheckpointError(ValueError):
    """A checkpoint is not what was written."""


@dataclass(frozen=True, order=True)
class Position:
    """Where a training stands.

    Attributes:
        epoch: Int, the number of complete epochs.
        step: Int, the number of complete steps of the epoch under way.
    """

    epoch: int
    step: int

    @property
    def name(self):
        """Name of the folder of a checkpoint."""
        return f"epoch_{self.epoch:04d}_step_{self.step:06d}"


def find_checkpoints(folder):
    """Return the checkpoints of a folder, whole or damaged, the newest first.

    Args:
        folder: Path of the folder, which need not exist.

    Returns:
        List of tuples of a `Position` and the `pathlib.Path` of a checkpoint.
    """
    found = []
    if Path(folder).is_dir():
        for path in Path(folder).iterdir():
            match = NAME.fullmatch(path.name)
            if match and path.is_dir():
                found.append((Position(int(match[1]), int(match[2])), path))
    return sorted(found, reverse=True)


# === Writing ===


def write_checkpoint(folder, position, save_model, state, manifest):
    """Write a checkpoint under another name, verify it, and then give it its name.

    Args:
        folder: `pathlib.Path` of the folder of checkpoints, created if needed.
        position: `Position`.
        save_model: Function that takes a path and writes the file of the model.
        state: Dict for JSON, what the model's file does not have.
        manifest: Dict for JSON, to which the SHA-256 of each file is added.

    Returns:
        `pathlib.Path` of the checkpoint.

    Raises:
        OSError: If it cannot be written, in one line that says why. All other
            checkpoints are then untouched.
    """
    target = folder / position.name
    partial = folder / f".{position.name}{PARTIAL}"
    try:
        with named_disk_errors(target):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            save_model(partial / MODEL)
            (partial / STATE).write_text(json.dumps(state))
            files = {}
            for name in FILES:
                sync_to_disk(partial / name)
                files[name] = _checksum(partial / name)
            _write_manifest(partial / MANIFEST, manifest | {"files": files})
            sync_to_disk(partial / MANIFEST)
            sync_to_disk(partial)
            _check_archive(partial / MODEL)
            read_manifest(partial)
            # One of this position is damaged, or it would have been resumed.
            shutil.rmtree(target, ignore_errors=True)
            os.rename(partial, target)
            sync_to_disk(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def remove_partial_checkpoints(folder):
    """Remove what a killed training began to write."""
    if Path(folder).is_dir():
        for path in Path(folder).glob(f".*{PARTIAL}"):
            shutil.rmtree(path, ignore_errors=True)


def lock_folder(folder):
    """Keep other processes from training in a folder until the lock is closed.

    Args:
        folder: `pathlib.Path` of the folder of checkpoints, created if needed.

    Returns:
        An open file, to be closed; `None` where there are no locks.

    Raises:
        ValueError: If another process has the lock.
        OSError: If the folder cannot be written to.
    """
    if fcntl is None:
        return None
    with named_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / LOCK, "w")
    try:
        # Unlike `flock`, it ends with this process: workers do not inherit it.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            return None  # The file system has no locks.
        raise ValueError(
            "`folder` must not be in use by another training. Received: "
            f"folder={folder}, which another process holds"
        ) from None
    return lock


def prune_checkpoints(folder, keep, kept_names=()):
    """Remove all but the newest checkpoints.

    Args:
        folder: Path of the folder of checkpoints.
        keep: Int, the number of checkpoints to keep.
        kept_names: Collection of str, names of others to keep. Defaults to none.
    """
    for _, path in find_checkpoints(folder)[keep:]:
        if path.name not in kept_names:
            # Without a manifest, what is left of it is no checkpoint.
            with contextlib.suppress(OSError):
                (path / MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)


def _write_manifest(path, manifest):
    manifest = {**manifest, "manifest": _digest(manifest)}
    path.write_text(json.dumps(manifest, indent=2) + "\n")


# === Reading ===


def read_checkpoint(path):
    """Verify a checkpoint and return what it holds, but for the model.

    Args:
        path: `pathlib.Path` of the checkpoint.

    Returns:
        Tuple of two dicts, the manifest and the state.

    Raises:
        DamagedCheckpointError: If a file is missing or is not what was written.
    """
    manifest = read_manifest(path)
    for name in FILES:
        try:
            checksum = _checksum(path / name)
        except OSError as error:
            message = f"{name} cannot be read: {error.strerror}"
            raise DamagedCheckpointError(message) from None
        if checksum != manifest["files"][name]:
            raise DamagedCheckpointError(f"{name} is not what was written")
    return manifest, json.loads((path / STATE).read_bytes())


def read_manifest(path):
    """Return the manifest of a checkpoint, a dict.

    Raises:
        DamagedCheckpointError: If it is missing or not what was written.
    """
    try:
        manifest = json.loads((Path(path) / MANIFEST).read_bytes())
        digest = manifest.pop("manifest")
    except OSError as error:
        message = f"{MANIFEST} cannot be read: {error.strerror}"
        raise DamagedCheckpointError(message) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        digest, manifest = None, {}
    if digest != _digest(manifest):
        raise DamagedCheckpointError(f"{MANIFEST} is not what was written")
    return manifest


def _digest(manifest):
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _checksum(path):
    with open(path, "rb") as file:
        # What was just written is read from the disk, not from memory.
        if hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_archive(path):
    """Check that each member of a `.keras` file has its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile:
        damaged = path.name
    if damaged is not None:
        raise OSError(errno.EIO, f"{damaged} is not what was written", str(path))
