"""What ends a training early, in one line and with the exit code that is usual."""

import contextlib
import errno
import os

import typer

from keras_ctsdg import callbacks
from keras_ctsdg.cli._console import error_console
from keras_ctsdg.training.saving import DISK_ERRORS


@contextlib.contextmanager
def explained_stops(out, checkpoint):
    """Stop after the running step on Ctrl-C, SIGTERM and SIGHUP, and say how to go on.

    Args:
        out: `pathlib.Path` of the folder of results.
        checkpoint: `keras_ctsdg.callbacks.TrainingCheckpoint`.

    Yields:
        `keras_ctsdg.callbacks.GracefulInterrupt`, a callback for `fit`.

    Raises:
        typer.Exit: With 130, 143 or 129, after one of the signals.
        OSError: If a file cannot be written, in one line.
    """
    try:
        with callbacks.GracefulInterrupt() as interrupt:
            yield interrupt
    except KeyboardInterrupt:
        if checkpoint.is_writer:
            _print_quietly(
                f"\nInterrupted; {_newest(checkpoint)}. Run the same command again to "
                "continue from there."
            )
        raise typer.Exit(128 + (interrupt.signal or 2)) from None
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        reason = os.strerror(error.errno or 0)
        place = error.filename or out
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "there is room" if is_full else "it can be written to"
        raise OSError(
            f"{reason}: {place}. Run the same command again when {remedy}; "
            f"{_newest(checkpoint)}."
        ) from None


def _newest(checkpoint):
    if checkpoint.latest is None:
        return "no checkpoint has been written yet"
    return f"the newest checkpoint is {checkpoint.latest}"


def _print_quietly(text):
    # The terminal may be gone.
    with contextlib.suppress(OSError):
        error_console.print(text, soft_wrap=True, highlight=False, markup=False)
