from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from keras_ctsdg.cli.data import open_dataset


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A preset's name or folder, or a `.keras` file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder or zip of pictures.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder or zip of masks; white is the hole.")
    ] = None,
    celeba: Annotated[
        Path | None, typer.Option(help="Folder of CelebA, in place of the two.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of CelebA.")] = "test",
    image_size: Annotated[int, typer.Option(min=128, help="Side in pixels.")] = 256,
    batch_size: Annotated[int, typer.Option(min=1)] = 6,
    sigma: Annotated[
        float | None,
        typer.Option(help="Width of Canny's Gaussian; the model's, if not given."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many pictures.")
    ] = None,
    on_error: Annotated[
        str, typer.Option(help="`skip` goes on without unreadable files.")
    ] = "raise",
):
    """Measure a model on pictures and masks, as the published evaluation does.

    Picture i is masked by mask i modulo the number of masks. Writes
    evaluation.txt, .json and .csv (PSNR, SSIM and mean absolute error by hole
    share), pairs.csv and a sheet of the best, median and worst pairs.
    """
    from keras_ctsdg import from_preset
    from keras_ctsdg.evaluation import (
        draw_extremes,
        evaluate_pairs,
        table_rows,
        write_results,
    )

    loaded = from_preset(model, with_discriminator=False)
    dataset = open_dataset(
        images,
        masks,
        celeba,
        split,
        batch_size=batch_size,
        image_size=image_size,
        edges=loaded.edges,
        sigma=loaded.sigma if sigma is None else sigma,
        on_error=on_error,
        shuffle=False,
    )
    out.mkdir(parents=True, exist_ok=True)
    total = dataset.num_items if limit is None else min(limit, dataset.num_items)
    found = track(
        evaluate_pairs(loaded, dataset, limit), "Evaluating", total, transient=True
    )
    pairs = [pair for pair in found if pair is not None]
    if not pairs:
        raise ValueError(f"No picture can be used. Received: {dict(dataset.skipped)}")
    summary = write_results(out, pairs, dataset.skipped)
    draw_extremes(loaded, dataset, pairs).save(out / "best_median_worst.png")
    with open(out / "evaluation.txt", "w") as file:
        for console in (Console(), Console(file=file, width=88)):
            _print_report(console, table_rows(summary), summary, dataset.skipped)
    Console().print(f"Written to {out}", highlight=False, soft_wrap=True)


def _print_report(console, rows, summary, skipped):
    table = Table("", "", "0-20 %", "20-40 %", "40-60 %", "overall")
    for column in table.columns[2:]:
        column.justify = "right"
    for metric, source, *numbers in rows:
        digits = {"pairs": 0, "psnr": 2}.get(metric, 4)
        # A published figure has the digits it was published with.
        if metric == "ssim" and source != "this model":
            digits = 3
        cells = ["-" if x is None else f"{x:.{digits}f}" for x in numbers]
        name = {"psnr": "PSNR, dB", "ssim": "SSIM", "mae": "MAE"}.get(metric, metric)
        table.add_row(name, source, *cells)
    console.print(table)
    console.print("Columns: share of the picture that the hole covers.")
    for title, names in (
        ("Beyond 60 %, overall only", [" + ".join(x) for x in summary["beyond_60"]]),
        ("Skipped", list(skipped)),
    ):
        if names:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            console.print(
                f"{title}: {len(names)}: {shown}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
