"""Messages on the console: one line each, without source code."""

import contextlib
import sys
import warnings

from rich.console import Console

# Both write to `sys.stdout` and `sys.stderr` as they are when something is printed.
console = Console()
error_console = Console(stderr=True)


def print_line(text):
    """Print text as it is, in one line that can be copied as a whole."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def exit_with_error(message):
    """Print an error in one line and exit with code 1."""
    error_console.print(
        f"Error: {message}", style="red", highlight=False, markup=False, soft_wrap=True
    )
    sys.exit(1)


@contextlib.contextmanager
def one_line_warnings():
    """Print each warning as one line on stderr, without file name and source code."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        yield


def _show_warning(message, category, filename, lineno, file=None, line=None):
    text = " ".join(str(message).split())
    error_console.print(
        f"Warning: {text}",
        style="yellow",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
