"""Callbacks for training a `CTSDG`."""

import csv
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import keras

from keras_ctsdg._checks import check_positive
from keras_ctsdg.training.checked_data import check_data
from keras_ctsdg.visualization import comparison_columns, draw_grid


class FineTuning(keras.callbacks.Callback):
    """Fine-tune as the paper does: lower learning rates, frozen batch statistics.

    From `start_epoch` on, the learning rates below are set, and the generator's batch
    normalization uses its moving statistics in training too. Its scale and offset
    stay trainable.

    Args:
        start_epoch: Int, the first epoch of fine-tuning, counted from 0.
        learning_rate: Float, the generator's learning rate. Defaults to `5e-5`.
        discriminator_learning_rate: Float, the discriminator's learning rate.
            Defaults to a tenth of `learning_rate`.

    Raises:
        ValueError: If `start_epoch` is negative.

    Example:

    ```python
    # The paper's 350,000 and 150,000 steps, with 1,000 steps per epoch.
    fine_tuning = keras_ctsdg.callbacks.FineTuning(start_epoch=350)
    model.fit(dataset, epochs=500, callbacks=[fine_tuning])
    ```
    """

    def __init__(
        self, start_epoch, learning_rate=5e-5, discriminator_learning_rate=None
    ):
        super().__init__()
        if start_epoch < 0:
            raise ValueError(
                f"`start_epoch` must be 0 or more. Received: start_epoch={start_epoch}"
            )
        self.start_epoch = start_epoch
        self.learning_rate = learning_rate
        if discriminator_learning_rate is None:
            discriminator_learning_rate = learning_rate / 10
        self.discriminator_learning_rate = discriminator_learning_rate
        self._started = False

    def on_train_begin(self, logs=None):
        self._started = False

    def on_epoch_begin(self, epoch, logs=None):
        if self._started or epoch < self.start_epoch:
            return
        self._started = True
        self.model.generator_optimizer.learning_rate = self.learning_rate
        self.model.discriminator_optimizer.learning_rate = (
            self.discriminator_learning_rate
        )
        if not self.model.freeze_batch_norm:
            self.model.freeze_batch_norm = True
            # The compiled step would continue to update the moving statistics.
            self.model.make_train_function(force=True)


class SampleGrid(keras.callbacks.Callback):
    """Write a grid of masked, filled and target images as training goes along.

    Args:
        folder: Path of the folder for `epoch_0001.png` and so on. It is created if it
            does not exist.
        batch: Dict of arrays, as `keras_ctsdg.CTSDG` takes it: `image` `[B, H, W, 3]`
            in [-1, 1] and `mask` `[B, H, W, 1]`, where 1 marks the hole, with `gray`
            and `edge` or without both. The grid has one row per image.
        every: Int, the number of epochs between two grids. Defaults to `1`.

    Raises:
        ValueError: If `every` is not positive, or the batch cannot be used.

    Example:

    ```python
    sample_grid = keras_ctsdg.callbacks.SampleGrid("samples", validation[0])
    model.fit(dataset, epochs=500, callbacks=[sample_grid])
    ```
    """

    def __init__(self, folder, batch, every=1):
        super().__init__()
        self.folder = Path(folder)
        self.batch = check_data(batch)
        self.every = check_positive("every", every)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        filled = self.model.predict(self.batch, verbose=0)
        self.folder.mkdir(parents=True, exist_ok=True)
        draw_grid(comparison_columns(self.batch, filled)).save(
            self.folder / f"epoch_{epoch + 1:04d}.png"
        )


class Throughput(keras.callbacks.Callback):
    """Add `images_per_second`, the mean since the start of the epoch, to the logs.

    The first step of a training is left out, because it includes the compilation.

    Args:
        batch_size: Int, the number of images in a batch.

    Example:

    ```python
    model.fit(dataset, callbacks=[keras_ctsdg.callbacks.Throughput(6)])
    ```
    """

    # Keras then need not wait for a step's logs before it starts the next step.
    async_safe = True

    def __init__(self, batch_size):
        super().__init__()
        self.batch_size = batch_size
        self._compiled = False

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter() if self._compiled else None
        self._last_index = -1
        self._rate = float("nan")

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if self._start is None:
            self._start, self._last_index, self._compiled = now, batch, True
            return
        # With `steps_per_execution`, Keras calls this once for several steps.
        steps = batch - self._last_index
        self._rate = steps * self.batch_size / (now - self._start)
        if logs is not None:
            logs["images_per_second"] = self._rate

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["images_per_second"] = self._rate


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

    def on_train_begin(self, logs=None):
        # The epoch at which training resumes is known only when it begins.
        self._columns = None

    def on_epoch_begin(self, epoch, logs=None):
        if self._columns is not None:
            return
        self._columns, rows = ["epoch"], []
        if Path(self.filename).exists():
            self._columns, rows = self._read()
            self._write([row for row in rows if int(row["epoch"]) < epoch])

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        row = {"epoch": epoch, **logs}
        added = sorted(set(row) - set(self._columns))
        if added or not Path(self.filename).exists():
            _, rows = self._read() if Path(self.filename).exists() else (None, [])
            self._columns += added
            self._write([*rows, row])
        else:
            with open(self.filename, "a", newline="") as file:
                self._writer(file).writerow(row)

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
        partial = f"{self.filename}.partial"
        with open(partial, "w", newline="") as file:
            writer = self._writer(file)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(partial, self.filename)

    def _writer(self, file):
        return csv.DictWriter(file, self._columns, restval="NA")


class GracefulInterrupt(keras.callbacks.Callback):
    """Stop training between two steps after Ctrl-C, never while a file is written.

    This callback is also a context manager. Within it, Ctrl-C makes `fit` raise
    `KeyboardInterrupt` after the current step. A second Ctrl-C raises it at once.

    Example:

    ```python
    with keras_ctsdg.callbacks.GracefulInterrupt() as interrupt:
        model.fit(dataset, epochs=10, callbacks=[interrupt])
    ```
    """

    # Keras then need not wait for a step's logs before it starts the next step.
    async_safe = True

    def __enter__(self):
        self._stop_requested = False
        self._previous = signal.signal(signal.SIGINT, self._request_stop)
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGINT, self._previous)

    def _request_stop(self, *_):
        if self._stop_requested:
            raise KeyboardInterrupt
        self._stop_requested = True
        print(
            "\nStopping after this step. Press Ctrl-C again to stop now.",
            file=sys.stderr,
        )

    def _stop_if_requested(self, batch=None, logs=None):
        if self._stop_requested:
            raise KeyboardInterrupt

    on_train_batch_end = _stop_if_requested
    on_test_batch_end = _stop_if_requested
