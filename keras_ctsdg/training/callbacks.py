"""What happens beside the steps of a training."""

import csv
import signal
import sys
import time
from pathlib import Path

import keras

from keras_ctsdg.visualization import before_after, draw_sheet


class FineTuning(keras.callbacks.Callback):
    """The paper's last stage: smaller steps, and batch statistics that stay.

    From `start_epoch` on, the generator's batch normalization uses its statistics
    in training too (its scale and offset go on learning), and the learning rates
    are set.

    Args:
        start_epoch: Int, the first epoch of the stage, counted from 0.
        learning_rate: Float, the generator's. Defaults to `5e-5`.
        discriminator_learning_rate: Float. Defaults to a tenth of the generator's.

    Raises:
        ValueError: If `start_epoch` is negative.

    Example:

    ```python
    # As the paper: 350,000 steps and 150,000 more, a thousand an epoch.
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
        self._begun = False

    def on_train_begin(self, logs=None):
        self._begun = False

    def on_epoch_begin(self, epoch, logs=None):
        if self._begun or epoch < self.start_epoch:
            return
        self._begun = True
        self.model.generator_optimizer.learning_rate = self.learning_rate
        self.model.discriminator_optimizer.learning_rate = (
            self.discriminator_learning_rate
        )
        if not self.model.freeze_batch_norm:
            self.model.freeze_batch_norm = True
            # The step that was compiled still updates the statistics.
            self.model.make_train_function(force=True)


class SampleGrid(keras.callbacks.Callback):
    """Writes a sheet of masked, filled and true pictures after each epoch.

    Args:
        folder: Path of the folder for `epoch_0001.png` and so on; made if absent.
        batch: Dict of arrays, as `keras_ctsdg.CTSDG` takes it.
        every: Int, the number of epochs from one sheet to the next. Defaults to
            `1`.

    Raises:
        ValueError: If `every` is not positive.

    Example:

    ```python
    sheets = keras_ctsdg.callbacks.SampleGrid("samples", validation[0])
    model.fit(dataset, epochs=500, callbacks=[sheets])
    ```
    """

    def __init__(self, folder, batch, every=1):
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be positive. Received: every={every}")
        self.folder = Path(folder)
        self.batch = batch
        self.every = every

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        filled = self.model.predict(self.batch, verbose=0)
        self.folder.mkdir(parents=True, exist_ok=True)
        draw_sheet(before_after(self.batch, filled)).save(
            self.folder / f"epoch_{epoch + 1:04d}.png"
        )


class Throughput(keras.callbacks.Callback):
    """Adds `images_per_second` to the logs: the mean since the epoch began.

    The first step of a training, which is compiled then, does not count.

    Args:
        batch_size: Int, the number of pictures in a batch.

    Example:

    ```python
    model.fit(dataset, callbacks=[keras_ctsdg.callbacks.Throughput(6)])
    ```
    """

    async_safe = True  # Lets steps run ahead of their logs.

    def __init__(self, batch_size):
        super().__init__()
        self.batch_size = batch_size
        self._compiled = False

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.perf_counter() if self._compiled else None
        self._before = -1
        self._rate = float("nan")

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if self._start is None:
            self._start, self._before, self._compiled = now, batch, True
            return
        # By the index: several steps may be executed at once.
        steps = batch - self._before
        self._rate = steps * self.batch_size / (now - self._start)
        if logs is not None:
            logs["images_per_second"] = self._rate

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["images_per_second"] = self._rate


class ResumableCSVLogger(keras.callbacks.CSVLogger):
    """Writes the logs of each epoch to a CSV file that an interruption can't spoil.

    Resumed at an epoch, it keeps the rows of the epochs before and writes that
    epoch and those behind it anew, whatever an interrupted training had written.

    Args:
        filename: Path of the file.

    Example:

    ```python
    history = keras_ctsdg.callbacks.ResumableCSVLogger("history.csv")
    model.fit(dataset, initial_epoch=3, epochs=10, callbacks=[history])
    ```
    """

    def __init__(self, filename):
        super().__init__(str(filename), append=True)

    def on_train_begin(self, logs=None):
        # Where training is resumed is known only when the first epoch begins.
        self._is_open = False

    def on_epoch_begin(self, epoch, logs=None):
        if self._is_open:
            return
        self._is_open = True
        self._forget_from(epoch)
        super().on_train_begin(logs)

    def _forget_from(self, epoch):
        path = Path(self.filename)
        if not path.exists():
            return
        with open(path, newline="") as file:
            rows = list(csv.reader(file))
        kept = [row for row in rows[1:] if int(row[0]) < epoch]
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows(rows[:1] + kept if kept else [])


class GracefulInterrupt(keras.callbacks.Callback):
    """Lets Ctrl-C end a training between two steps, never while a file is written.

    A context manager around `fit`, which raises `KeyboardInterrupt` after the step
    that is under way. A second Ctrl-C ends at once.

    Example:

    ```python
    with keras_ctsdg.callbacks.GracefulInterrupt() as interrupt:
        model.fit(dataset, epochs=10, callbacks=[interrupt])
    ```
    """

    async_safe = True  # Lets steps run ahead of their logs.

    def __enter__(self):
        self._asked = False
        self._previous = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGINT, self._previous)

    def _ask(self, *_):
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        print(
            "\nStopping after this step. Ctrl-C again stops at once.", file=sys.stderr
        )

    def _stop_if_asked(self, batch=None, logs=None):
        if self._asked:
            raise KeyboardInterrupt

    on_train_batch_end = _stop_if_asked
    on_test_batch_end = _stop_if_asked
