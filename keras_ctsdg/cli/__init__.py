"""The command line: `keras-ctsdg COMMAND`."""

import os
import re
import sys

import typer
from rich.console import Console

from keras_ctsdg.cli.convert import convert
from keras_ctsdg.cli.demo import demo
from keras_ctsdg.cli.evaluate import evaluate
from keras_ctsdg.cli.inpaint import inpaint
from keras_ctsdg.cli.presets import presets
from keras_ctsdg.cli.quickstart import quickstart
from keras_ctsdg.cli.train import train

app = typer.Typer(
    help="Image inpainting by CTSDG, on Keras.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (quickstart, train, evaluate, inpaint, demo, convert, presets):
    app.command()(command)
error_console = Console(stderr=True)


def main():
    """Runs the command line; errors a user can mend are told in a line."""
    # Before TensorFlow is loaded, which otherwise greets with its build options.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app()
    except (ImportError, OSError, ValueError) as error:
        fail(error)
    except Exception as error:
        message = message_within(error)
        if message is None:
            raise
        fail(message)


def message_within(error):
    """What a data set said, if TensorFlow wrapped it in an error of its own."""
    found = re.search(r"(?:ImageError|ValueError): (.*)", str(error))
    is_wrapped = type(error).__module__.startswith("tensorflow.")
    return found[1] if is_wrapped and found else None


def fail(error):
    """Tells an error and ends."""
    error_console.print(f"Error: {error}", style="red", markup=False, soft_wrap=True)
    sys.exit(1)
