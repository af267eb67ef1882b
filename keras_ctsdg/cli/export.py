import math
import sys
from pathlib import Path
from typing import Annotated

import keras
import typer

from keras_ctsdg import from_preset
from keras_ctsdg._processes import run_command_on
from keras_ctsdg.cli._console import console, print_line
from keras_ctsdg.export import ExportDtype, Format, ImageDtype, export_model
from keras_ctsdg.export.exported_model import refuse_exported_file
from keras_ctsdg.export.formats import plan_export
from keras_ctsdg.export.metadata import describe_sizes
from keras_ctsdg.presets.source import describe_source


def export(
    preset: Annotated[
        str, typer.Argument(help="A preset's name or folder, or a `.keras` file.")
    ],
    file: Annotated[
        Path, typer.Argument(help="File to write, or folder of a SavedModel or page.")
    ],
    format: Annotated[
        Format | None, typer.Option(help="Default: by the file's ending.")
    ] = None,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="H W",
            help="Height and width of the images, multiples of 128. Default: any "
            "size, or 256 256 where the format needs one.",
        ),
    ] = None,
    dtype: Annotated[
        ExportDtype | None,
        typer.Option(help="How weights are stored. Default: float32, float16 for web."),
    ] = None,
    image_dtype: Annotated[
        ImageDtype, typer.Option(help="Levels from 0 to 255, or values in [0, 1].")
    ] = ImageDtype.UINT8,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
    npm_package: Annotated[
        Path | None,
        typer.Option(
            help="Tarball or folder of npm's onnxruntime-web, for a page. Default: it "
            "is downloaded once."
        ),
    ] = None,
):
    """Write one file that fills images in another runtime, without Keras.

    It takes an image and a mask and returns the filled image. Endings: .onnx,
    .tflite (LiteRT), .xml (OpenVINO), .pt2 (PyTorch), and none for a SavedModel. The
    file is compared with the model in its own runtime, and removed if it differs.
    With `--format web`, a folder of a page that fills photos in the browser alone.
    """
    refuse_exported_file(preset, "PRESET")
    options = (
        format and str(format),
        size,
        dtype and str(dtype),
        str(image_dtype),
        overwrite,
    )
    plan = plan_export(file, *options, npm_package)
    if keras.backend.backend() != plan.spec.backend:
        # The same command, whose output is shown.
        child = run_command_on(plan.spec.backend, sys.argv[1:], capture=False)
        raise typer.Exit(child.returncode)
    source = describe_source(preset)
    model = from_preset(preset, with_discriminator=False)
    with console.status(f"Exporting {preset}"):
        plan, psnr = export_model(model, file, *options, source, npm_package)
    sizes = describe_sizes(plan)
    if psnr is None:
        checked = "Not checked"
    else:
        same = "equal" if psnr == math.inf else f"{psnr:.1f} dB"
        checked = f"Checked by {plan.spec.runtime}: {same} in the hole"
    if plan.format == "web":
        use = f"python -m http.server --directory {plan.path}"
    else:
        use = f"model = keras_ctsdg.from_preset({str(plan.path)!r})"
    for line in (
        f"{plan.format}, weights in {plan.dtype}, images in {plan.image_dtype} of "
        f"{sizes[0]} x {sizes[1]} (height x width), any batch size",
        checked,
        f"Written to {plan.path}, {_megabytes(plan.path):.1f} MB",
        use,
    ):
        print_line(line)


def _megabytes(path):
    if path.is_dir():
        files = path.rglob("*")
    else:
        # The weights of OpenVINO lie beside its file.
        files = [path, *path.parent.glob(f"{path.stem}.bin")]
    return sum(x.stat().st_size for x in files if x.is_file()) / 1e6
