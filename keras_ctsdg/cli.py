"""The command line: `keras-ctsdg COMMAND`."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    help="Image inpainting by CTSDG, on Keras.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console()
error_console = Console(stderr=True)


@app.callback()
def _commands():
    """Makes Typer expect a command's name, also while there is one command."""


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds, equal losses.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="How long to train.")] = 10,
):
    """Train a small CTSDG on photographs and fill holes in others: a few minutes.

    Needs no network and no data. Writes model.keras, history.csv and
    before_after.png.
    """
    from keras_ctsdg.quickstart import run_quickstart

    result = run_quickstart(out, seed=seed, epochs=epochs)
    console.print(
        f"PSNR on pictures it did not train on: {result['filled']:.1f} dB filled, "
        f"{result['masked']:.1f} dB masked."
    )
    for name in ("before_after.png", "history.csv", "model.keras"):
        # Soft: a path that is broken over two lines can't be copied.
        console.print(f"  {out / name}", highlight=False, soft_wrap=True)


def main():
    """Runs the command line; errors a user can mend are told in a line."""
    # Before TensorFlow is loaded, which otherwise greets with its build options.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        app()
    except (OSError, ValueError) as error:
        error_console.print(
            f"Error: {error}", style="red", markup=False, soft_wrap=True
        )
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
