"""The command line, run in a process of its own."""

import os
import subprocess
import sys


def run_command_on(backend, arguments, capture=True):
    """Run `keras-ctsdg` in a process on another backend.

    Args:
        backend: Str, a backend of Keras.
        arguments: List of str.
        capture: Bool, whether its output is kept, not shown. Defaults to `True`.

    Returns:
        `subprocess.CompletedProcess`.
    """
    code = "from _keras_ctsdg_command import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=capture,
        text=True,
    )
