"""Scalars and grids of samples for TensorBoard."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_ctsdg._checks import check_positive, check_writable_folder
from keras_ctsdg.conventions import composite
from keras_ctsdg.training._mid_epoch import EverySteps
from keras_ctsdg.training.checked_data import check_data
from keras_ctsdg.training.distribution import is_main_process
from keras_ctsdg.visualization import draw_grid


class TensorBoardLogger(EverySteps):
    """Write the logs of each epoch and grids of samples, for TensorBoard.

    It needs the extra `tensorboard`. Unlike Keras' own callback it does not import
    TensorFlow. Start `tensorboard --logdir FOLDER` to look at the files.

    Args:
        folder: Path of the folder for event files. It is created if it does not exist.
        batch: Dict of arrays, as `keras_ctsdg.CTSDG` takes it, of the samples in the
            grids: `image` `[B, H, W, 3]` in [-1, 1] and `mask` `[B, H, W, 1]`, where 1
            marks the hole, with `gray` and `edge` or without both. A grid shows for
            each sample the masked image, the edges that the generator draws, the filled
            image and the target. Defaults to `None`, no grids.
        every: Int, the number of steps between two grids. Defaults to `None`, the end
            of each epoch.

    Raises:
        ValueError: If an argument breaks a rule above.
        ImportError: If tensorboardX is not installed.

    Example:

    ```python
    logger = keras_ctsdg.callbacks.TensorBoardLogger("logs", validation[0], every=500)
    model.fit(dataset, epochs=10, callbacks=[logger])
    ```
    """

    _writer: Any

    def __init__(self, folder, batch=None, every=None):
        super().__init__(every if every is None else check_positive("every", every))
        _import_writer()
        self.folder = Path(folder)
        self.batch = None if batch is None else check_data(batch)
        self._writer = None

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        check_writable_folder("folder", self.folder)
        if is_main_process():
            self._writer = _import_writer()(str(self.folder))

    def on_step(self, step):
        if self.batch is not None and self._writer is not None:
            grid = draw_grid(sample_columns(self.model, self.batch))
            self._writer.add_image("samples", np.asarray(grid), step, dataformats="HWC")

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self.add_scalars(self._first_step, logs or {})

    def add_scalars(self, step, logs):
        """Write numbers, those of a validation in a group of their own.

        Args:
            step: Int, the number of steps before.
            logs: Dict of numbers.
        """
        if self._writer is None:  # Of several processes, one writes.
            return
        for name, value in logs.items():
            if np.isnan(float(value)):  # The mean of a group without samples.
                continue
            group = "validation" if name.startswith("val_") else "training"
            self._writer.add_scalar(
                f"{group}/{name.removeprefix('val_')}", float(value), step
            )
        self._writer.flush()

    def add_validation(self, step, scores):
        """Write the results of a validation by mask ratio.

        Args:
            step: Int, the number of steps before.
            scores: Dict of numbers, as `evaluate` returns it.
        """
        self.add_scalars(step, {f"val_{name}": x for name, x in scores.items()})

    def on_train_end(self, logs=None):
        if self._writer is not None:
            self._writer.close()


def sample_columns(model, batch):
    """Fill a batch, and return the columns of a grid that shows how.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        batch: Dict of arrays, as the model takes it.

    Returns:
        Dict of `masked`, `edge`, `filled` and `target`, as
        `keras_ctsdg.visualization.draw_grid` takes it.
    """
    inputs = {key: np.asarray(x) for key, x in model.complete_inputs(batch).items()}
    outputs = model.generate_on_batch(inputs)
    image, mask = inputs["image"], inputs["mask"]
    edge = np.repeat(np.asarray(outputs["projected_edge"]), 3, axis=-1)
    return {
        "masked": image * (1 - mask),
        "edge": 2 * edge - 1,
        "filled": np.asarray(composite(outputs["image"], image, mask)),
        "target": image,
    }


def _import_writer():
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ImportError(
            "`TensorBoardLogger` needs tensorboardX. Install it by "
            "`pip install 'keras-ctsdg[tensorboard]'`."
        ) from None
    return SummaryWriter
