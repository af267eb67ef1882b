from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


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
    console = Console()
    console.print(
        f"PSNR on pictures it did not train on: {result['filled']:.1f} dB filled, "
        f"{result['masked']:.1f} dB masked."
    )
    for name in ("before_after.png", "history.csv", "model.keras"):
        # Soft: a path that is broken over two lines can't be copied.
        console.print(f"  {out / name}", highlight=False, soft_wrap=True)
