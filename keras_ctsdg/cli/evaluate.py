from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from keras_ctsdg._checks import check_writable_folder
from keras_ctsdg.cli._console import print_line
from keras_ctsdg.cli.data import open_dataset
from keras_ctsdg.data import OnError, Split


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A preset's name or folder, or a `.keras` file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder or zip of images.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder or zip of masks; white is the hole.")
    ] = None,
    celeba: Annotated[
        Path | None, typer.Option(help="Folder of CelebA, instead of the two.")
    ] = None,
    split: Annotated[Split, typer.Option(help="Split of CelebA.")] = Split.TEST,
    image_size: Annotated[int, typer.Option(min=128, help="Side in pixels.")] = 256,
    batch_size: Annotated[int, typer.Option(min=1)] = 6,
    sigma: Annotated[
        float | None,
        typer.Option(help="Width of Canny's Gaussian; by default the model's."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of images.")
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="`skip` continues without unusable files.")
    ] = OnError.RAISE,
):
    """Measure a model on images and masks, as the published evaluation does.

    Image i gets mask i modulo the number of masks. Writes evaluation.txt, .json and
    .csv (PSNR, SSIM and mean absolute error by mask ratio), samples.csv with the
    scores of each sample, and a grid of the best, median and worst samples.
    """
    from keras_ctsdg import from_preset
    from keras_ctsdg.evaluation import (
        draw_best_median_worst,
        evaluate_samples,
        table_rows,
        write_results,
    )

    out = out.expanduser()
    check_writable_folder("--out", out)
    loaded = from_preset(model, with_discriminator=False)
    dataset = open_dataset(
        images,
        masks,
        celeba,
        split,
        [out],
        batch_size=batch_size,
        image_size=image_size,
        edges=loaded.edges,
        sigma=loaded.sigma if sigma is None else sigma,
        on_error=on_error,
        shuffle=False,
    )
    out.mkdir(parents=True, exist_ok=True)
    count = dataset.num_samples if limit is None else min(limit, dataset.num_samples)
    results = track(
        evaluate_samples(loaded, dataset, limit), "Evaluating", count, transient=True
    )
    samples = [sample for sample in results if sample is not None]
    if not samples:
        raise ValueError(f"No image can be used. Received: {dict(dataset.skipped)}")
    summary = write_results(out, samples, dataset.skipped)
    grid = draw_best_median_worst(loaded, dataset, samples)
    grid.save(out / "best_median_worst.png")
    with open(out / "evaluation.txt", "w") as file:
        for console in (Console(), Console(file=file, width=88)):
            _print_report(console, table_rows(summary), summary, dataset.skipped)
    print_line(f"Written to {out}")


def _print_report(console, rows, summary, skipped):
    table = Table("", "", "0-20 %", "20-40 %", "40-60 %", "overall")
    for column in table.columns[2:]:
        column.justify = "right"
    for metric, source, *values in rows:
        digits = {"samples": 0, "psnr": 2}.get(metric, 4)
        # The published SSIM has three digits.
        if metric == "ssim" and source != "this model":
            digits = 3
        cells = ["-" if x is None else f"{x:.{digits}f}" for x in values]
        title = {"psnr": "PSNR, dB", "ssim": "SSIM", "mae": "MAE"}.get(metric, metric)
        table.add_row(title, source, *cells)
    console.print(table)
    console.print("Columns: mask ratio, the share of the image that the hole covers.")
    for title, names in (
        ("Beyond 60 %, only in overall", [" + ".join(x) for x in summary["beyond_60"]]),
        ("Skipped", list(skipped)),
    ):
        if names:
            listed = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            console.print(
                f"{title}: {len(names)}: {listed}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
