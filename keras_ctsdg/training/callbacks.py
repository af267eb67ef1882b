"""Callbacks for training a `CTSDG`."""

import time
from pathlib import Path

import keras

from keras_ctsdg._checks import check_positive, check_writable_folder
from keras_ctsdg.training.checked_data import check_data
from keras_ctsdg.training.csv_logger import ResumableCSVLogger
from keras_ctsdg.training.distribution import is_main_process
from keras_ctsdg.training.fine_tuning import FineTuning
from keras_ctsdg.training.graceful_interrupt import GracefulInterrupt
from keras_ctsdg.training.history_plot import HistoryPlot
from keras_ctsdg.training.mask_ratio_validation import MaskRatioValidation
from keras_ctsdg.training.progress_line import ProgressLine
from keras_ctsdg.training.stop_on_bad_steps import StopOnBadSteps
from keras_ctsdg.training.tensorboard_logger import TensorBoardLogger
from keras_ctsdg.training.training_checkpoint import TrainingCheckpoint
from keras_ctsdg.visualization import comparison_columns, draw_grid

__all__ = [
    "FineTuning",
    "GracefulInterrupt",
    "HistoryPlot",
    "MaskRatioValidation",
    "ProgressLine",
    "ResumableCSVLogger",
    "SampleGrid",
    "StopOnBadSteps",
    "TensorBoardLogger",
    "Throughput",
    "TrainingCheckpoint",
]


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
        if not logs and logs is not None:
            # A resumed training goes through the steps that were made before.
            self._start, self._compiled = None, False
            return
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
