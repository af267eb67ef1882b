from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from keras_ctsdg._checks import check_writable_folder
from keras_ctsdg.cli._cluster import RayAddress, RayWorkers, Shard, open_cluster
from keras_ctsdg.cli._console import print_line
from keras_ctsdg.cli.data import open_dataset
from keras_ctsdg.cluster import shards
from keras_ctsdg.cluster.workers import evaluate_batches_on
from keras_ctsdg.data import OnError, Split
from keras_ctsdg.data.sources import expand_user


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A preset's name or folder, or a `.keras` file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    images: Annotated[
        Path | None,
        typer.Option(
            parser=expand_user,
            metavar="PATH",
            help="Folder or zip of images, or a URI such as s3://...",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            parser=expand_user,
            metavar="PATH",
            help="Folder or zip of masks, or a URI; white is the hole.",
        ),
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
    ray: RayAddress = None,
    ray_workers: RayWorkers = None,
    shard: Shard = None,
    join: Annotated[
        bool, typer.Option("--join", help="Only join the shards in --out.")
    ] = False,
):
    """Measure a model on images and masks, as the published evaluation does.

    Image i gets mask i modulo the number of masks. Writes evaluation.txt, .json and
    .csv (PSNR, SSIM and mean absolute error by mask ratio), samples.csv with the
    scores of each sample, and a grid of the best, median and worst samples.

    With --shard K/N, it only measures every N-th batch, and keeps the scores in --out.
    When all N have run, the same command with --join writes the results, which are
    those of a single process.
    """
    from keras_ctsdg import from_preset
    from keras_ctsdg.evaluation import (
        batch_starts,
        count_samples,
        draw_best_median_worst,
        evaluate_batches,
        table_rows,
        write_results,
    )

    if join and (ray or shard):
        raise ValueError(
            "--join measures nothing: pass it without --ray and --shard. "
            f"Received: --ray {ray} --shard {shard}"
        )
    part = shards.parse_shard(shard)
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
    settings = {
        "model": model,
        "images": str(images or celeba),
        "masks": str(masks),
        "split": split,
        "samples": count_samples(dataset, limit),
        "batch_size": batch_size,
        "image_size": image_size,
        "sigma": dataset.sigma,
        "on_error": on_error,
    }
    if join:
        batches = shards.read_shards(out, settings)
    else:
        starts = batch_starts(dataset, limit, part)
        with open_cluster(ray, ray_workers) as cluster:
            run = evaluate_batches if cluster is None else evaluate_batches_on(cluster)
            results = run(loaded, dataset, starts, limit)
            batches = list(track(results, "Evaluating", len(starts), transient=True))
    if shard is not None:
        written = shards.write_shard(out, part, batches, settings)
        print_line(f"Written to {written}; --join writes the results of all shards.")
        return
    samples, skipped = shards.join_batches(batches)
    if not samples:
        raise ValueError(f"No image can be used. Received: {skipped}")
    # The grid skips them without warning again.
    dataset.skipped.update(skipped)
    summary = write_results(out, samples, skipped)
    grid = draw_best_median_worst(loaded, dataset, samples)
    grid.save(out / "best_median_worst.png")
    with open(out / "evaluation.txt", "w") as file:
        for console in (Console(), Console(file=file, width=88)):
            _print_report(console, table_rows(summary), summary, skipped)
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
