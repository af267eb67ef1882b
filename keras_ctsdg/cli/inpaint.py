import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from keras_ctsdg.cli._cluster import RayAddress, RayWorkers, Shard, open_cluster
from keras_ctsdg.cli._console import error_console, print_line
from keras_ctsdg.cli._inpaint_arguments import default_out, split_arguments
from keras_ctsdg.cli._options import options_from
from keras_ctsdg.cluster.shards import parse_shard
from keras_ctsdg.cluster.workers import fill_files_on
from keras_ctsdg.data.listing import summarize_not_taken
from keras_ctsdg.data.sources import expand_user
from keras_ctsdg.inpainting import FileOptions, InpaintOptions
from keras_ctsdg.inpainting.batch import InpaintBatch, fill_files
from keras_ctsdg.presets.openvino import FillRuntime, load_for_filling


@options_from(InpaintOptions)
@options_from(FileOptions)
def inpaint(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PRESET] [IMAGES]",
            help="A preset's name or folder, a `.keras` file, or an exported file, by "
            "default `demo`; then the images, unless by --images.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            "--image",
            parser=expand_user,
            metavar="PATH",
            help="An image, a folder, a pattern in quotes, or a URI such as s3://...",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=expand_user,
            metavar="PATH",
            help="File for one image, folder for a folder; or a URI. By default the "
            "name of the images with `_filled`, beside them.",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            "--masks",
            "--mask",
            parser=expand_user,
            metavar="PATH",
            help="White marks the hole: one mask for all images, or a folder or zip in "
            "which masks have the names of their images.",
        ),
    ] = None,
    alpha: Annotated[
        bool, typer.Option("--alpha", help="Transparent pixels are the hole.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing results.")
    ] = False,
    runtime: Annotated[
        FillRuntime,
        typer.Option(
            help="What fills: keras, openvino (on the CPU; the first time, it exports "
            "the preset, which takes minutes), or auto: openvino if it is installed."
        ),
    ] = FillRuntime.KERAS,
    ray: RayAddress = None,
    ray_workers: RayWorkers = None,
    shard: Shard = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON.")
    ] = False,
    **options,
):
    """Fill the holes in an image, or in all images of a folder.

    `keras-ctsdg inpaint photo.jpg --mask mask.png` writes photo_filled.jpg.

    Results keep name, format and metadata. Formats without loss keep every pixel
    outside the holes bit for bit; JPEG, AVIF and lossy WebP are encoded again, as the
    image was. A result appears under its name only when it is complete. Run again, the
    same command continues with the missing files; --overwrite starts from the
    beginning. Files that cannot be used are reported at the end, with exit code 1.
    --ray and --shard change who fills the images, and nothing else.
    """
    files = FileOptions(**{x.name: options.pop(x.name) for x in fields(FileOptions)})
    options = InpaintOptions(**options)
    if ray is not None and runtime != FillRuntime.KERAS:
        raise ValueError(
            "--ray fills with Keras: leave out --runtime. "
            f"Received: --ray {ray} --runtime {runtime}"
        )
    preset, source = split_arguments(words, images)
    if out is None:
        out = default_out(source, files.ending)
    batch = InpaintBatch(
        source, masks, out, alpha, overwrite, files, parse_shard(shard)
    )

    def progress(steps):
        total = len(batch.pending)
        return track(steps, "Filling", total, console=error_console, transient=True)

    try:
        if batch.pending:
            with open_cluster(ray, ray_workers) as cluster:
                loaded = load_for_filling(preset, runtime)
                fill = fill_files if cluster is None else fill_files_on(cluster)
                batch.run(loaded, options, progress, fill)
    except KeyboardInterrupt:
        error_console.print(
            "\nInterrupted. Run the same command again to continue with the missing "
            "files.",
            soft_wrap=True,
        )
        raise typer.Exit(130) from None
    if as_json:
        print(json.dumps(asdict(batch.report), indent=2))
    else:
        _print_report(batch.report, out)
    if batch.report.failed:
        raise typer.Exit(1)


def _print_report(report, out):
    print_line(
        f"Filled {len(report.filled)}. Copied without a hole: "
        f"{len(report.unchanged)}. Skipped because they exist: {len(report.skipped)}. "
        f"Failed: {len(report.failed)}."
    )
    for name, reason in (report.failed | report.notes).items():
        print_line(f"  {name}: {reason}")
    if report.not_taken:
        print_line(f"Not taken: {summarize_not_taken(report.not_taken)}")
    if report.filled or report.unchanged:
        print_line(f"Written to {out}")
    else:
        print_line("Nothing was written.")
