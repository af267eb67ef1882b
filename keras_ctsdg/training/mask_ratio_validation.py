"""Validation by mask ratio, at chosen steps of a training."""

import csv
from pathlib import Path
from typing import Any

from keras_ctsdg._checks import check_positive, check_writable_folder
from keras_ctsdg.training._mid_epoch import EverySteps
from keras_ctsdg.training.distribution import is_main_process
from keras_ctsdg.training.saving import replace_file


class MaskRatioValidation(EverySteps):
    """Evaluate on a data set after every so many steps, by mask ratio.

    Args:
        data: Data as `evaluate` takes it.
        every: Int, the number of steps between two evaluations. Defaults to `None`, the
            end of each epoch.
        filename: Path of a CSV file with a row for each evaluation: its `step` and the
            logs of `evaluate`, such as `psnr_0_20`. A resumed training keeps the rows
            of earlier steps. Defaults to `None`, no file.
        report: Function of the step and the dict of logs, called after each
            evaluation. Defaults to `None`.

    Attributes:
        results: List of dicts, the rows of the file.

    Raises:
        ValueError: If `every` is not a positive integer or `None`.

    Example:

    ```python
    validate = keras_ctsdg.callbacks.MaskRatioValidation(
        validation, every=5000, filename="validation.csv"
    )
    model.fit(dataset, epochs=10, callbacks=[validate])
    ```
    """

    filename: Any

    def __init__(self, data, every=None, filename=None, report=None):
        super().__init__(every if every is None else check_positive("every", every))
        self.data = data
        self.filename = None if filename is None else Path(filename)
        self.report = report
        self.results = []

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.results = []
        if self.filename is not None:
            check_writable_folder("filename", self.filename.parent)
            if self.filename.exists():
                with open(self.filename, newline="") as file:
                    self.results = list(csv.DictReader(file))

    def on_step(self, step):
        scores = self.model.evaluate(self.data, verbose=0, return_dict=True)
        # A resumed training repeats a few steps.
        kept = [row for row in self.results if int(row["step"]) < step]
        self.results = [*kept, {"step": step, **scores}]
        if self.filename is not None and is_main_process():
            self._write()
        if self.report is not None:
            self.report(step, scores)

    def _write(self):
        with replace_file(self.filename) as path, open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, list(self.results[-1]), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.results)
