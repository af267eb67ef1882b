"""Stopping a training between two steps, after Ctrl-C or a signal of a scheduler."""

import contextlib
import os
import signal
import sys

import keras

from keras_ctsdg.training import distribution

# Steps after which processes that train together ask each other whether to stop. None
# can make a step without the others, and asking takes a little time.
STEPS_BETWEEN_STOPS = 10

SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
]


class GracefulInterrupt(keras.callbacks.Callback):
    """Stop training between two steps after Ctrl-C, SIGTERM or SIGHUP.

    This callback is also a context manager. Within it, each of the three makes `fit`
    raise `KeyboardInterrupt` after the current step, and never while a file is
    written. A second one raises it at once. With a
    `keras_ctsdg.callbacks.TrainingCheckpoint` in the same `fit`, a checkpoint is
    written first. Schedulers send SIGTERM before they end a job, and a terminal that
    is closed sends SIGHUP, which `nohup` keeps from having any effect. Processes that
    train together stop together within ten steps, whichever of them has the signal.

    Attributes:
        signal: Int, the signal that stopped the training; `None` before.

    Example:

    ```python
    with keras_ctsdg.callbacks.GracefulInterrupt() as interrupt:
        model.fit(dataset, epochs=10, callbacks=[interrupt])
    ```
    """

    # Keras then need not wait for a step's logs before it starts the next step.
    async_safe = True
    _is_active = False

    def __init__(self):
        super().__init__()
        self.signal = None
        self._before_stop = None

    def before_stop(self, function):
        """Set what is called before `fit` is left.

        Args:
            function: Function that takes the index of the training step that would be
                next, or `None` during a validation. Replaces an earlier one.
        """
        self._before_stop = function

    def on_train_begin(self, logs=None):
        if not self._is_active:
            raise ValueError(
                "`GracefulInterrupt` must be entered with `with` before `fit`. "
                "Received: a callback outside of `with`"
            )
        self._asked = 0

    def __enter__(self):
        self.signal, self._is_active = None, True
        self._process_id = os.getpid()
        self._terminals = [x for x in (1, 2) if _is_terminal(x)]
        self._previous = {
            number: signal.signal(number, self._request_stop)
            for number in SIGNALS
            # `nohup` has it ignored, and this should stay so.
            if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN
        }
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._is_active = False

    def _request_stop(self, number, frame):
        if os.getpid() != self._process_id:
            # A worker process, which inherits this. Its pool ends it by SIGTERM.
            if number == signal.SIGTERM:
                os._exit(128 + number)
            return
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = int(number)
        if number == getattr(signal, "SIGHUP", None):
            _detach(self._terminals)
        hint = " Press Ctrl-C again to stop now." if number == signal.SIGINT else ""
        with contextlib.suppress(OSError, RuntimeError):
            print(f"\nStopping after this step.{hint}", file=sys.stderr)

    def on_train_batch_begin(self, batch, logs=None):
        self._stop_if_requested(batch)

    def on_test_batch_begin(self, batch, logs=None):
        self._stop_if_requested(None)

    def _stop_if_requested(self, batch):
        if not self._is_stop_requested():
            return
        if self._before_stop is not None:
            self._before_stop(batch)
        raise KeyboardInterrupt

    def _is_stop_requested(self):
        is_requested = self.signal is not None
        if distribution.process_count() == 1:
            return is_requested
        self._asked += 1
        if self._asked % STEPS_BETWEEN_STOPS:
            return False
        return distribution.any_process(is_requested, self.model)


def _is_terminal(descriptor):
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def _detach(descriptors):
    """Lead output to a terminal that is gone nowhere, for it would be an error."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)
