"""A table of losses and metrics that goes on where a training is resumed."""

import csv
import os
import warnings
from pathlib import Path

import keras

from keras_ctsdg._checks import check_writable_folder
from keras_ctsdg.training.distribution import is_main_process
from keras_ctsdg.training.saving import (
    named_disk_errors,
    replace_file,
    sync_to_disk,
)


class ResumableCSVLogger(keras.callbacks.Callback):
    """Write the logs of each epoch to a CSV file, which a resumed training continues.

    A training that resumes at an epoch keeps the rows of earlier epochs and replaces
    all others, so that no epoch has two rows. Lines that are blank, cut or damaged are
    left out with a warning; a file without a readable header is renamed to
    `*.damaged`, and a new one begun. Logs that an earlier training did not have get
    columns of their own, with `NA` for its epochs.

    Args:
        filename: Path of the CSV file. Its columns are `epoch`, counted from 0, and
            the names of the logs.

    Example:

    ```python
    logger = keras_ctsdg.callbacks.ResumableCSVLogger("history.csv")
    model.fit(dataset, initial_epoch=3, epochs=10, callbacks=[logger])
    ```
    """

    def __init__(self, filename):
        super().__init__()
        self.filename = str(filename)
        self._columns = []

    def on_train_begin(self, logs=None):
        check_writable_folder("filename", Path(self.filename).parent)
        # The epoch at which training resumes is known only when it begins.
        self._columns = []

    def on_epoch_begin(self, epoch, logs=None):
        if self._columns or not is_main_process():
            return
        self._columns, rows = ["epoch"], []
        if Path(self.filename).exists():
            self._columns, rows = self._read()
            self._write([row for row in rows if int(row["epoch"]) < epoch])

    def on_epoch_end(self, epoch, logs=None):
        if not is_main_process():
            return
        logs = logs or {}
        row = {"epoch": epoch, **logs}
        added = sorted(set(row) - set(self._columns))
        if added or not Path(self.filename).exists():
            _, rows = self._read() if Path(self.filename).exists() else (None, [])
            self._columns += added
            self._write([*rows, row])
        else:
            with named_disk_errors(self.filename):
                with open(self.filename, "a", newline="") as file:
                    self._writer(file).writerow(row)
                # A checkpoint that is written next must not know more epochs.
                sync_to_disk(self.filename)

    def _read(self):
        """Return the columns of the file and its intact rows, as dicts."""
        text = Path(self.filename).read_bytes().decode(errors="replace")
        lines = text.replace("\0", "").splitlines(keepends=True)
        # A line without its end was cut, maybe within a number.
        parsed = [next(csv.reader([line])) for line in lines if line.endswith("\n")]
        parsed = [row for row in parsed if row]
        if not parsed or parsed[0][0] != "epoch":
            if lines:
                os.replace(self.filename, f"{self.filename}.damaged")
            return ["epoch"], []
        columns, *rows = parsed
        intact = [
            dict(zip(columns, row, strict=True))
            for row in rows
            if len(row) == len(columns) and row[0].isdecimal()
        ]
        if len(intact) < len(lines) - 1:
            warnings.warn(
                f"{len(lines) - 1 - len(intact)} blank, cut or damaged lines of "
                f"{self.filename} are left out.",
                stacklevel=2,
            )
        return columns, intact

    def _write(self, rows):
        with replace_file(self.filename) as path, open(path, "w", newline="") as file:
            writer = self._writer(file)
            writer.writeheader()
            writer.writerows(rows)

    def _writer(self, file):
        return csv.DictWriter(file, self._columns, restval="NA")
