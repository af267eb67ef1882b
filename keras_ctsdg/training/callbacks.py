"""Callbacks for training a `CTSDG`."""

import numbers
import signal
import sys
import time
from pathlib import Path

import keras

from keras_ctsdg._checks import check_positive, check_writable_folder
from keras_ctsdg.training.checked_data import check_data
from keras_ctsdg.training.csv_logger import ResumableCSVLogger
from keras_ctsdg.training.distribution import is_main_process
from keras_ctsdg.training.monitors import check_rates_are_settable
from keras_ctsdg.training.stop_on_bad_steps import StopOnBadSteps
from keras_ctsdg.visualization import comparison_columns, draw_grid

__all__ = [
    "FineTuning",
    "GracefulInterrupt",
    "ResumableCSVLogger",
    "SampleGrid",
    "StopOnBadSteps",
    "Throughput",
]


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
        ValueError: If `start_epoch` is not an integer from 0 on, a learning rate is
            negative or, when the training begins, one follows a schedule.

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
        if start_epoch != 0:
            check_positive("start_epoch", start_epoch)
        self.start_epoch = start_epoch
        self.learning_rate = _check_rate("learning_rate", learning_rate)
        if discriminator_learning_rate is None:
            discriminator_learning_rate = learning_rate / 10
        self.discriminator_learning_rate = _check_rate(
            "discriminator_learning_rate", discriminator_learning_rate
        )
        self._started = False

    def on_train_begin(self, logs=None):
        check_rates_are_settable("FineTuning", self.model)
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


def _check_rate(name, rate):
    number = float(rate) if isinstance(rate, numbers.Real) else -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(
            f"`{name}` must be a number from 0 on. Received: {name}={rate!r}"
        )
    return number


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
        ValueError: If `every` is not a positive integer, or the batch cannot be used;
            when the training begins, if `folder` cannot be written to.

    Example:

    ```python
    sample_grid = keras_ctsdg.callbacks.SampleGrid("samples", validation[0])
    model.fit(dataset, epochs=500, callbacks=[sample_grid])
    ```
    """

    def __init__(self, folder, batch, every=1):
        super().__init__()
        self.folder = Path(folder)
        self.batch = _without_weights(check_data(batch))
        self.every = check_positive("every", every)

    def on_train_begin(self, logs=None):
        check_writable_folder("folder", self.folder)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every or not is_main_process():
            return
        filled = self.model.predict(self.batch, verbose=0)
        self.folder.mkdir(parents=True, exist_ok=True)
        draw_grid(comparison_columns(self.batch, filled)).save(
            self.folder / f"epoch_{epoch + 1:04d}.png"
        )


def _without_weights(batch):
    """Return a batch all of whose samples `predict` returns."""
    return {key: x for key, x in batch.items() if key != "sample_weight"}


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
        self.batch_size = check_positive("batch_size", batch_size)
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
    _is_active = False

    def on_train_begin(self, logs=None):
        if not self._is_active:
            raise ValueError(
                "`GracefulInterrupt` must be entered with `with` before `fit`. "
                "Received: a callback outside of `with`"
            )

    def __enter__(self):
        self._stop_requested, self._is_active = False, True
        self._previous = signal.signal(signal.SIGINT, self._request_stop)
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGINT, self._previous)
        self._is_active = False

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
