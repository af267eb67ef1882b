"""The progress of a training in one line."""

import math
import shutil
import sys
import threading
import time
from typing import Any

import keras

from keras_ctsdg.training.distribution import is_main_process

# Seconds between two lines of an epoch in a file, and two updates in a terminal.
LINE_INTERVAL = 600.0
UPDATE_INTERVAL = 0.1


class ProgressLine(keras.callbacks.Callback):
    """Print losses, images per second and the time left in one short line.

    In a terminal the line is updated as training goes along; elsewhere there is a line
    for each epoch, and for every ten minutes of a longer one. Use it with `verbose=0`,
    and after `Throughput`, which measures the images per second.

    Args:
        stream: Open text file to print to. Defaults to `None`, `sys.stdout`.

    Example:

    ```python
    throughput = keras_ctsdg.callbacks.Throughput(6)
    progress = keras_ctsdg.callbacks.ProgressLine()
    model.fit(dataset, epochs=10, verbose=0, callbacks=[throughput, progress])
    ```
    """

    # Keras then need not wait for a step's logs before it starts the next step.
    async_safe = True

    _start: Any

    def __init__(self, stream=None):
        super().__init__()
        self.stream = stream
        self._lock = threading.Lock()

    def on_train_begin(self, logs=None):
        self._epoch, self._batch, self._steps = 0, -1, None
        self._start, self._made = None, 0
        self._printed, self._is_open = time.monotonic(), False

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._batch = epoch, -1

    def on_train_batch_end(self, batch, logs=None):
        with self._lock:
            before, self._batch = self._batch, max(batch, self._batch)
            if not logs:
                # A resumed training goes through the steps that were made before.
                return
            now = time.monotonic()
            if self._start is None:  # The first step includes the compilation.
                self._start = now
            else:
                self._made += self._batch - before
            interval = UPDATE_INTERVAL if self._is_terminal() else LINE_INTERVAL
            if now - self._printed >= interval:
                line = self._describe(logs, self._batch + 1)
                self._print(line, ends=not self._is_terminal())

    def on_epoch_end(self, epoch, logs=None):
        with self._lock:
            self._steps = self.params.get("steps") or self._batch + 1
            self._print(self._describe(logs or {}), ends=True)

    def on_train_end(self, logs=None):
        if self._is_open:
            self._write("\n")

    def _describe(self, logs, step=None):
        """Return the line, whose first 79 characters have all numbers that matter."""
        steps = self.params.get("steps") or self._steps
        epochs = self.params.get("epochs")
        parts = [f"epoch {self._epoch + 1}/{epochs}"]
        if step is not None:
            parts[0] += f" {step}/{steps or '?'}"
        names = {"generator_loss": "G", "discriminator_loss": "D"}
        losses = [f"{x} {float(logs[n]):.4g}" for n, x in names.items() if n in logs]
        if losses:
            parts.append(" ".join(losses))
        if "val_psnr" in logs:
            parts.append(f"PSNR {float(logs['val_psnr']):.2f}")
        if logs.get("bad_steps"):
            parts.append(f"{int(logs['bad_steps'])} bad steps")
        rate = float(logs.get("images_per_second", math.nan))
        if math.isfinite(rate):
            parts.append(f"{rate:.3g} images/s")
        if self._made and steps and epochs:
            made = self._epoch * steps + (steps if step is None else step)
            seconds = (time.monotonic() - self._start) / self._made
            parts.append(f"{format_duration(seconds * (epochs * steps - made))} left")
        return " | ".join(parts)

    def _print(self, line, ends):
        self._printed = time.monotonic()
        if self._is_terminal():
            width = shutil.get_terminal_size().columns - 1
            line = "\r" + line[:width].ljust(width)
        self._is_open = not ends
        self._write(line + ("\n" if ends else ""))

    def _write(self, text):
        if not is_main_process():
            return
        stream = self.stream or sys.stdout
        stream.write(text)
        stream.flush()

    def _is_terminal(self):
        return (self.stream or sys.stdout).isatty()


def format_duration(seconds):
    """Return a duration as hours, minutes and seconds, with days if there are any."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days} d " if days else "") + f"{hours}:{minutes:02}:{seconds:02}"
