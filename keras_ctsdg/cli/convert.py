from pathlib import Path
from typing import Annotated

import typer

from keras_ctsdg.cli._console import console, print_line
from keras_ctsdg.convert import convert_checkpoint
from keras_ctsdg.presets.files import (
    METADATA,
    RECORD,
    Dtype,
    is_preset_name,
    read_json,
    weights_size,
)


def convert(
    source: Annotated[
        Path,
        typer.Argument(help="The authors' `.pt`, or MindSpore's `generator_*.ckpt`."),
    ],
    destination: Annotated[
        str,
        typer.Argument(
            help="Name to install the preset under, such as `celeba`, or path of a "
            "folder."
        ),
    ],
    dtype: Annotated[
        Dtype, typer.Option(help="Stored as; float16 halves the size.")
    ] = Dtype.FLOAT32,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing preset.")
    ] = False,
):
    """Convert a checkpoint of the original implementations to a preset, once.

    Afterwards the preset loads by its name, on every backend and without a network
    connection.
    """
    with console.status(f"Converting {source}"):
        folder = convert_checkpoint(source, destination, dtype.value, overwrite)
    record = read_json(folder, METADATA)[RECORD]
    counts = ", ".join(f"{k} {n:,}" for k, n in record["parameters"].items())
    name = destination if is_preset_name(destination) else str(folder)
    for line in (
        f"{record['source']['format']} checkpoint; parameters: {counts}",
        f"Expects edges {record['edges']!r}, upsampling {record['upsampling']!r}",
        f"Training steps: {record.get('step', 'not recorded')}",
        f"Written to {folder}, {weights_size(folder) / 1e6:.0f} MB",
        f"model = keras_ctsdg.from_preset({name!r})",
    ):
        print_line(line)
