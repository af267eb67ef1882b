"""The command line: `keras-ctsdg COMMAND`."""

import re

import typer

from keras_ctsdg.cli._console import exit_with_error, one_line_warnings
from keras_ctsdg.cli.convert import convert
from keras_ctsdg.cli.demo import demo
from keras_ctsdg.cli.evaluate import evaluate
from keras_ctsdg.cli.export import export
from keras_ctsdg.cli.inpaint import inpaint
from keras_ctsdg.cli.presets import presets
from keras_ctsdg.cli.quickstart import quickstart
from keras_ctsdg.cli.train import train
from keras_ctsdg.cli.upload import upload

app = typer.Typer(
    help="Image inpainting with CTSDG, on Keras.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    quickstart,
    train,
    evaluate,
    inpaint,
    demo,
    convert,
    export,
    presets,
    upload,
):
    app.command()(command)


def main():
    """Run the command line and print errors that a user can correct in one line."""
    try:
        with one_line_warnings():
            app()
    except (FloatingPointError, ImportError, OSError, ValueError) as error:
        exit_with_error(error)
    except Exception as error:
        message = find_wrapped_message(error)
        if message is None:
            raise
        exit_with_error(message)


def find_wrapped_message(error):
    """Return the message of an error in a data set that TensorFlow wrapped.

    Args:
        error: Exception.

    Returns:
        Str, or `None` for an error of another kind.
    """
    found = re.search(r"(?:ImageError|ValueError): (.*)", str(error))
    is_wrapped = type(error).__module__.startswith("tensorflow.")
    return found[1] if is_wrapped and found else None
