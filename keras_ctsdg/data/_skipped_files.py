"""Keep a record of the files that a data set skips, across worker processes."""

import contextlib
import uuid
import warnings
import weakref
from enum import StrEnum

from keras_ctsdg.data.images import ImageError

# All records of this process by id, so that reports of workers find theirs.
_RECORDS = weakref.WeakValueDictionary()


class OnError(StrEnum):
    """What a data set does about a file that cannot be used."""

    RAISE = "raise"
    SKIP = "skip"


class SkippedFiles(dict):
    """The reasons why files were skipped, by file name.

    Adding a file warns once. A record that is pickled keeps its id only in a process
    that does not hold that id yet, which is a worker.
    """

    def __init__(self):
        super().__init__()
        self.__setstate__({"id": uuid.uuid4().hex, "unreported": {}})

    def __setstate__(self, state):
        self.__dict__.update(state)
        if self.id in _RECORDS:  # A copy within the same process
            self.id = uuid.uuid4().hex
        _RECORDS[self.id] = self

    def add(self, name, reason, warn=True):
        """Record that a file is skipped, unless it is on record."""
        if name in self:
            return
        self[name] = self.unreported[name] = reason
        if warn:
            warnings.warn(f"Skipped: {reason}", stacklevel=4)

    def load_usable(self, files, load, index, replace=True, warn=True):
        """Load a file, or the next one that can be used, and record failures.

        Args:
            files: `ImageFiles` or `MaskFiles`.
            load: Callable of an index.
            index: Int.
            replace: Bool, whether the next file replaces one that cannot be used.
                Defaults to `True`.
            warn: Bool, whether to warn of what is recorded. Defaults to `True`.

        Returns:
            What `load` returns, or `None` for a file that is not replaced.

        Raises:
            ImageError: If no file can be used.
        """
        for i in range(len(files) if replace else 1):
            candidate = (index + i) % len(files)
            try:
                return load(candidate)
            except ImageError as error:
                self.add(files.name(candidate), str(error), warn)
        if replace:
            raise ImageError(f"No file can be used. Received: {list(self)[:5]}")
        return None

    def take_report(self):
        """Return what was added since the last call, for `receive_report`.

        Returns:
            Tuple of the record's id and a dict of reasons by file name.
        """
        unreported, self.unreported = self.unreported, {}
        return self.id, unreported

    def first_usable(self, files, index):
        """Return the index of the first file from `index` on that is not skipped.

        Args:
            files: `ImageFiles` or `MaskFiles`.
            index: Int, which is also returned if all files are skipped.
        """
        candidates = ((index + i) % len(files) for i in range(len(files)))
        return next((i for i in candidates if files.name(i) not in self), index)


def receive_report(record_id, reasons):
    """Add a worker's report to the record of the same id in this process."""
    record = _RECORDS.get(record_id)
    if record is None:
        return
    for name, reason in reasons.items():
        # Where warnings are errors, one would end Keras' thread that yields batches.
        with contextlib.suppress(Warning):
            record.add(name, reason)
