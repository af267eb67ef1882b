import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from keras_ctsdg.cli.files import copy_whole, pair_files, save_whole


def inpaint(
    model: Annotated[
        str, typer.Argument(help="A preset's name or folder, or a `.keras` file.")
    ],
    images: Annotated[
        Path, typer.Option("--images", "--image", help="A picture, or a folder.")
    ],
    out: Annotated[
        Path, typer.Option(help="File for one picture, folder for a folder.")
    ],
    masks: Annotated[
        Path | None,
        typer.Option(
            "--masks",
            "--mask",
            help="White is the hole: one for all, or a folder of the same names.",
        ),
    ] = None,
    alpha: Annotated[
        bool, typer.Option("--alpha", help="What is transparent is the hole.")
    ] = False,
    strategy: Annotated[
        str, typer.Option(help="`auto`, `full`, `crop` or `resize`.")
    ] = "auto",
    size: Annotated[
        int, typer.Option(min=1, help="Long side for `resize` and `auto`.")
    ] = 384,
    invert_mask: Annotated[
        bool, typer.Option("--invert-mask", help="Black is the hole.")
    ] = False,
    threshold: Annotated[float, typer.Option(help="From which white on.")] = 0.5,
    dilate: Annotated[
        int, typer.Option(min=0, help="Pixels by which the hole grows.")
    ] = 0,
    feather: Annotated[
        float, typer.Option(min=0, help="Pixels to blend inside the rim.")
    ] = 0.0,
    memory_limit: Annotated[
        float, typer.Option(help="Gigabytes for the network.")
    ] = 3.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that are there.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON.")
    ] = False,
):
    """Fill the holes in a picture, or in all pictures of a folder.

    Results keep name, format, EXIF and color profile; JPEG is written at quality
    95. Each appears under its name only when it is whole. Started again, the same
    command goes on with what is missing, unless with --overwrite. Files that can't
    be used are told at the end, and the exit code is 1.
    """
    from keras_ctsdg import from_preset
    from keras_ctsdg.data.prefetch import prefetch
    from keras_ctsdg.inpainting import InpaintOptions

    options = InpaintOptions(
        strategy=strategy,
        size=size,
        invert_mask=invert_mask,
        threshold=threshold,
        dilate=dilate,
        feather=feather,
        memory_limit=memory_limit,
    )
    items, missing = pair_files(images, masks, alpha, out)
    done = [item for item in items if item.out.exists() and not overwrite]
    if done and images.is_file():
        raise ValueError(
            f"--out must not exist, unless with --overwrite. Received: {done[0].out}"
        )
    waiting = [item for item in items if item not in done]
    report = _Report(done, missing)
    console = Console(stderr=True)
    try:
        if waiting:
            loaded = from_preset(model, with_discriminator=False)
            read = track(
                zip(waiting, prefetch(_read, waiting), strict=True),
                "Filling",
                len(waiting),
                console=console,
                transient=True,
            )
            _fill_all(loaded, read, options, report)
    except KeyboardInterrupt:
        console.print("\nInterrupted. The same command goes on with what is missing.")
        raise typer.Exit(130) from None
    report.show(as_json, out)
    if report.failed:
        raise typer.Exit(1)


def _read(item):
    """A picture and its mask, or the error that says why not."""
    from keras_ctsdg.data.images import ImageFiles

    try:
        picture = ImageFiles([item.image], "image").load_original(0)
        if item.mask is None:
            return picture, None
        return picture, ImageFiles([item.mask], "mask").load(0, "L")
    except (OSError, ValueError) as error:
        return error


def _fill_all(model, read, options, report):
    """Fills one after the other; the last is written meanwhile."""
    with ThreadPoolExecutor(1) as executor:
        writing = None
        for item, pair in read:
            filled = pair
            if not isinstance(pair, Exception):
                filled = _fill(model, pair, options)
            if writing is not None:
                report.add(*writing.result())
            writing = executor.submit(_write, item, filled)
        if writing is not None:
            report.add(*writing.result())


def _fill(model, pair, options):
    """The filled picture, `None` if there is no hole, or the error."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            filled = model.inpaint(*pair, **vars(options))
    except (MemoryError, OSError, ValueError) as error:
        return error
    return None if any("has no hole" in str(x.message) for x in caught) else filled


def _write(item, filled):
    """Writes a result: the item, what became of it, and the error if there is one."""
    if isinstance(filled, Exception):
        return item, "failed", filled
    try:
        if filled is not None:
            save_whole(filled, item.out)
            return item, "filled", None
        if item.image.suffix.lower() == item.out.suffix.lower():
            copy_whole(item.image, item.out)
            return item, "unchanged", None
        raise ValueError(
            "Without a hole a picture is copied, and its ending must stay. "
            f"Received: {item.out}"
        )
    except (OSError, ValueError) as error:
        return item, "failed", error


class _Report:
    """What became of the pictures."""

    def __init__(self, done, missing):
        self.lists = {
            "filled": [],
            "unchanged": [],
            "skipped": [str(item.image) for item in done],
        }
        self.failed = {str(path): "It has no mask of its name." for path in missing}

    def add(self, item, what, error):
        if error is None:
            self.lists[what].append(str(item.image))
        else:
            self.failed[str(item.image)] = str(error) or type(error).__name__

    def show(self, as_json, out):
        if as_json:
            print(json.dumps({**self.lists, "failed": self.failed}, indent=2))
            return
        counts = {name: len(names) for name, names in self.lists.items()}
        console = Console()
        for line in (
            f"Filled {counts['filled']}. Without a hole, copied: "
            f"{counts['unchanged']}. There already, skipped: {counts['skipped']}. "
            f"Failed: {len(self.failed)}.",
            *(f"  {name}: {reason}" for name, reason in self.failed.items()),
            f"Written to {out}",
        ):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
