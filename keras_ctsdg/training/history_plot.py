"""The curves of a training as an image."""

import csv
import math
from pathlib import Path

import keras

from keras_ctsdg._checks import check_writable_folder
from keras_ctsdg.training.distribution import is_main_process

PANELS = {
    "generator": ("generator_loss", "val_generator_loss"),
    "discriminator": ("discriminator_loss", "val_discriminator_loss"),
    "terms of the generator": (
        "hole",
        "valid",
        "perceptual",
        "style",
        "adversarial",
        "intermediate",
    ),
    "PSNR in dB": ("val_psnr",),
}


class HistoryPlot(keras.callbacks.Callback):
    """Draw the curves of a training after each epoch.

    Args:
        history: Path of the file of a `ResumableCSVLogger`, which comes before this
            callback.
        filename: Path of the image, such as `history.png`. Its ending decides its
            format.

    Example:

    ```python
    logger = keras_ctsdg.callbacks.ResumableCSVLogger("history.csv")
    plot = keras_ctsdg.callbacks.HistoryPlot("history.csv", "history.png")
    model.fit(dataset, epochs=10, callbacks=[logger, plot])
    ```
    """

    def __init__(self, history, filename):
        super().__init__()
        self.history = Path(history)
        self.filename = Path(filename)

    def on_train_begin(self, logs=None):
        check_writable_folder("filename", self.filename.parent)

    def on_epoch_end(self, epoch, logs=None):
        if is_main_process() and self.history.exists():
            plot_history(self.history, self.filename)


def plot_history(history, filename):
    """Draw the curves of a table of losses and metrics.

    Args:
        history: Path of a CSV file with a column `epoch`, counted from 0, and others
            for the logs. What is no number is left out.
        filename: Path of the image.
    """
    # Not by `pyplot`, which would choose a window system.
    from matplotlib.figure import Figure

    with open(history, newline="") as file:
        rows = list(csv.DictReader(file))
    curves = {
        title: {name: _read_column(rows, name) for name in names}
        for title, names in PANELS.items()
    }
    curves = {
        title: {name: points for name, points in columns.items() if points}
        for title, columns in curves.items()
    }
    curves = {title: columns for title, columns in curves.items() if columns}
    height, width = max(1, math.ceil(len(curves) / 2)), min(2, len(curves))
    figure = Figure(figsize=(10, 3.2 * height))
    for i, (title, columns) in enumerate(curves.items()):
        axes = figure.add_subplot(height, width, i + 1)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        values = [value for points in columns.values() for _, value in points]
        if min(values) > 0 and max(values) / min(values) > 30:
            axes.set_yscale("log")
        for name, points in columns.items():
            marker = "o" if len(points) == 1 else None
            axes.plot(*zip(*points, strict=True), marker=marker, label=name)
        axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(filename, dpi=100)


def _read_column(rows, name):
    """Return pairs of the epoch, counted from 1, and the finite number of a column."""
    points = []
    for row in rows:
        try:
            epoch, value = int(row["epoch"]) + 1, float(row.get(name) or "nan")
        except ValueError:
            continue
        if math.isfinite(value):
            points.append((epoch, value))
    return points
