"""The export of a model to a file: written, checked, and only then in its place."""

import os
import tempfile
import warnings
from pathlib import Path

from keras_ctsdg.export.check import check_file
from keras_ctsdg.export.formats import check_backend, plan_export
from keras_ctsdg.export.graph import FillImage
from keras_ctsdg.export.metadata import build_metadata
from keras_ctsdg.export.runtimes import has_runtime
from keras_ctsdg.export.web import write_page
from keras_ctsdg.export.writers_tensorflow import (
    write_litert,
    write_openvino,
    write_savedmodel,
)
from keras_ctsdg.export.writers_torch import write_onnx, write_torch
from keras_ctsdg.models._value_checks import check_finite_weights

WRITERS = {
    "savedmodel": write_savedmodel,
    "openvino": write_openvino,
    "onnx": write_onnx,
    "litert": write_litert,
    "torch": write_torch,
    "web": write_page,
}


def export_model(
    model,
    filepath,
    format=None,
    size=None,
    dtype=None,
    image_dtype="uint8",
    overwrite=True,
    metadata=None,
    npm_package=None,
):
    """Write a file that fills images without Keras; `CTSDG.export` documents it.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        filepath, format, size, dtype, image_dtype, overwrite, metadata: As
            `CTSDG.export` has them.
        npm_package: As `keras_ctsdg.export.formats.plan_export` has it.

    Returns:
        Tuple of the `ExportPlan` and the PSNR of the check, a float, or `None` if the
        format's runtime is not installed.

    Raises:
        ImportError: If a package that writes the format is not installed.
        ValueError: As `CTSDG.export` raises it.
    """
    fixed = model.generator.image_shape[:2]
    if None not in fixed:
        if size is not None and tuple(size) != fixed:
            raise ValueError(
                "`size` must be that of `model.generator.image_shape`, or `None`. "
                f"Received: size={size}, image_shape={model.generator.image_shape}"
            )
        size = fixed
    options = format, size, dtype, image_dtype, overwrite, npm_package
    plan = plan_export(filepath, *options)
    check_backend(plan)
    check_finite_weights(model.generator, "be exported")
    graph = FillImage(model, image_dtype, name="fill")
    entries = build_metadata(model, plan, metadata)
    target = plan.path
    psnr = None
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix=f".{target.name}."
    ) as scratch:
        partial = Path(scratch, target.name)
        try:
            WRITERS[plan.format](graph, plan, partial, entries)
        except ImportError as error:
            raise ImportError(
                f"Writing this format needs {error.name}: "
                f'pip install "{plan.spec.package}". Received: format={plan.format!r}'
            ) from error
        if has_runtime(plan.format):
            psnr = check_file(graph, plan, partial)
        else:
            warnings.warn(
                f"The exported file was not checked: {plan.spec.runtime}, which runs "
                f'it, is not installed. pip install "{plan.spec.package}", and export '
                "again.",
                stacklevel=3,
            )
        _move(partial, target, Path(scratch, "replaced"))
    return plan, psnr


def _move(partial, target, replaced):
    """Put a file, or a folder, and what belongs to it into its place."""
    if partial.is_dir():
        if target.exists():
            os.replace(target, replaced)
        os.replace(partial, target)
        return
    # The weights of OpenVINO come first, for the file is complete only with them.
    others = [path for path in partial.parent.iterdir() if path != partial]
    for path in others:
        os.replace(path, target.with_name(path.name))
    os.replace(partial, target)
