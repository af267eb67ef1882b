from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def convert(
    source: Annotated[
        Path,
        typer.Argument(help="The authors' `.pt`, or MindSpore's `generator_*.ckpt`."),
    ],
    destination: Annotated[
        str,
        typer.Argument(
            help="Name to install it under, such as `celeba`, or path of a folder."
        ),
    ],
    dtype: Annotated[
        str, typer.Option(help="`float16` for half the size.")
    ] = "float32",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a preset that is there.")
    ] = False,
):
    """Make a preset of a checkpoint of the original implementations, once.

    From then on it is loaded by its name, on every backend and without a network.
    """
    from keras_ctsdg.convert import convert_checkpoint
    from keras_ctsdg.presets.files import (
        METADATA,
        RECORD,
        is_name,
        read_text,
        weights_size,
    )

    console = Console()
    with console.status(f"Converting {source}"):
        folder = convert_checkpoint(source, destination, dtype, overwrite)
    record = read_text(folder, METADATA)[RECORD]
    numbers = ", ".join(f"{k} {n:,}" for k, n in record["parameters"].items())
    for line in (
        f"{record['source']['format']} checkpoint; parameters: {numbers}",
        f"Expects edges {record['edges']!r}, upsampling {record['upsampling']!r}",
        f"Training steps: {record.get('step', 'not recorded')}",
        f"Written to {folder}, {weights_size(folder) / 1e6:.0f} MB",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    name = destination if is_name(destination) else str(folder)
    console.print(
        f"model = keras_ctsdg.from_preset({name!r})", markup=False, soft_wrap=True
    )
