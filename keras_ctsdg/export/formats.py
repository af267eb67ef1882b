"""The formats of exported files, and which options work together."""

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import keras

from keras_ctsdg._checks import check_choice, check_positive, check_writable_folder
from keras_ctsdg.conventions import SIZE_MULTIPLE

# The size that the paper's weights were trained at.
DEFAULT_SIZE = (256, 256)
# Of a page: what describes it, and its network.
PAGE_FILE = "keras_ctsdg.json"
PAGE_MODEL = "model.onnx"


class Format(StrEnum):
    """Formats of exported files."""

    SAVEDMODEL = "savedmodel"
    OPENVINO = "openvino"
    ONNX = "onnx"
    LITERT = "litert"
    TORCH = "torch"
    WEB = "web"


class ExportDtype(StrEnum):
    """How the weights of an exported file are stored."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"


class ImageDtype(StrEnum):
    """The dtype of an exported file's image, mask and result."""

    UINT8 = "uint8"
    FLOAT32 = "float32"


@dataclass(frozen=True)
class FormatSpec:
    """What a format can do.

    Args:
        ending: Str, the ending of its files; empty for a folder.
        backend: Str, the Keras backend that writes it.
        dtypes: Tuple of str, how it may store weights; the default comes first.
        is_size_free: Bool, whether its files take images of any size.
        runtime: Str, the module that runs its files.
        package: Str, what `pip` installs the runtime by.
        mark: Str, for a folder, the file that shows the format. Defaults to empty.
    """

    ending: str
    backend: str
    dtypes: tuple
    is_size_free: bool
    runtime: str
    package: str
    mark: str = ""


FORMATS = {
    "savedmodel": FormatSpec(
        "",
        "tensorflow",
        ("float32",),
        True,
        "tensorflow",
        "tensorflow",
        "saved_model.pb",
    ),
    "openvino": FormatSpec(
        ".xml",
        "tensorflow",
        ("float32", "float16"),
        True,
        "openvino",
        "keras-ctsdg[openvino]",
    ),
    "onnx": FormatSpec(
        ".onnx",
        "torch",
        ("float32", "float16", "int8"),
        False,
        "onnxruntime",
        "keras-ctsdg[onnx]",
    ),
    "litert": FormatSpec(
        ".tflite",
        "tensorflow",
        # In its float16, Canny's constants are rounded, too, which moves the edges.
        ("float32", "int8"),
        False,
        "ai_edge_litert",
        "keras-ctsdg[litert]",
    ),
    "torch": FormatSpec(
        ".pt2", "torch", ("float32",), False, "torch", "keras-ctsdg[torch]"
    ),
    # An ONNX file, which is checked as such, with a page around it.
    "web": FormatSpec(
        "",
        "torch",
        ("float16", "float32", "int8"),
        False,
        "onnxruntime",
        "keras-ctsdg[onnx]",
        PAGE_FILE,
    ),
}


@dataclass(frozen=True)
class ExportPlan:
    """Checked options of an export.

    Args:
        path: `pathlib.Path` of the file or folder.
        format: Str, a key of `FORMATS`.
        size: Tuple `(height, width)`, or `None` for any size.
        dtype: Str, an `ExportDtype`.
        image_dtype: Str, an `ImageDtype`.
        npm_package: Path that `keras_ctsdg.export.web` takes, or `None`.
    """

    path: Path
    format: str
    size: tuple | None
    dtype: str
    image_dtype: str
    npm_package: Path | None = None

    @property
    def spec(self):
        """The `FormatSpec` of the format."""
        return FORMATS[self.format]


def format_of_path(path):
    """Return the format that the ending of a path stands for, or `None`."""
    path = Path(path)
    formats = {spec.ending: name for name, spec in FORMATS.items() if spec.ending}
    default = "savedmodel" if path.is_dir() or not path.suffix else None
    return formats.get(path.suffix.lower(), format_of_folder(path) or default)


def format_of_folder(path):
    """Return the format of an exported folder, or `None` if it is none."""
    for name, spec in FORMATS.items():
        if spec.mark and (Path(path) / spec.mark).is_file():
            return name
    return None


def plan_export(
    file,
    format=None,
    size=None,
    dtype=None,
    image_dtype="uint8",
    overwrite=True,
    npm_package=None,
):
    """Check the options of an export, apart from the backend.

    Args:
        file, format, size, dtype, image_dtype, overwrite: As `CTSDG.export` has them.
        npm_package: Path of npm's package of ONNX Runtime Web, for `format="web"`.
            Defaults to `None`: it is downloaded once.

    Returns:
        `ExportPlan`.

    Raises:
        ValueError: If an option breaks a rule of `CTSDG.export`.
    """
    if not isinstance(file, (str, os.PathLike)):
        raise ValueError(
            f"`filepath` must be a path. Received: filepath={file!r} of type "
            f"{type(file).__name__}"
        )
    path = Path(file)
    # Keras' name of the format.
    format = "savedmodel" if format == "tf_saved_model" else format
    format = check_choice("format", format, (*Format, None)) or format_of_path(path)
    endings = ", ".join(f"{k}: {x.ending or 'a folder'}" for k, x in FORMATS.items())
    # A folder may be called `1.0`, but not `model.onnx`.
    folders = [None, *(name for name, spec in FORMATS.items() if not spec.ending)]
    expected = folders if format in folders else [format]
    if format is None or format_of_path(path) not in expected:
        raise ValueError(
            f"The ending of `filepath` must be that of its format ({endings}). "
            f"Received: filepath={path}, format={format!r}"
        )
    check_choice("image_dtype", image_dtype, ImageDtype)
    if format == "web" and image_dtype != "uint8":
        raise ValueError(
            '`image_dtype` must be "uint8" for `format="web"`, as browsers decode '
            f"images. Received: image_dtype={image_dtype!r}"
        )
    dtype = check_choice("dtype", dtype, (*ExportDtype, None))
    dtype = dtype or FORMATS[format].dtypes[0]
    if dtype not in FORMATS[format].dtypes:
        able = [f'"{k}"' for k, spec in FORMATS.items() if dtype in spec.dtypes]
        raise ValueError(
            f'`dtype="{dtype}"` is available for the formats {", ".join(able)}; '
            f'"{format}" has {", ".join(FORMATS[format].dtypes)}. Received: '
            f"dtype={dtype!r}, format={format!r}"
        )
    check_writable_folder("filepath", path.parent)
    _check_replaceable(path, format, overwrite)
    size = _check_size(size, format)
    return ExportPlan(path, format, size, dtype, image_dtype, npm_package)


def check_backend(plan):
    """Check that Keras runs on the backend that writes a format.

    Args:
        plan: `ExportPlan`.

    Raises:
        ValueError: If it does not. The message names what does.
    """
    backend = keras.backend.backend()
    needed = plan.spec.backend
    if backend != needed:
        able = [f'"{k}"' for k, spec in FORMATS.items() if spec.backend == backend]
        others = f"{backend} writes {', '.join(able)}" if able else "none"
        raise ValueError(
            f'`format="{plan.format}"` is written on the backend {needed}: set '
            f"KERAS_BACKEND={needed} before Keras is imported, or run `keras-ctsdg "
            f"export`, which does so ({others}). Received: "
            f"format={plan.format!r}, backend={backend!r}"
        )


def _check_size(size, format):
    """Return the size as a tuple of ints, or `None` for any size."""
    if size is None:
        return None if FORMATS[format].is_size_free else DEFAULT_SIZE
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(f"`size` must be (height, width). Received: size={size!r}")
    size = tuple(check_positive("size", length) for length in size)
    if any(length % SIZE_MULTIPLE for length in size):
        raise ValueError(
            f"`size` must hold multiples of {SIZE_MULTIPLE}. Received: size={size}"
        )
    return size


def _check_replaceable(path, format, overwrite):
    if not path.exists():
        return
    is_folder = not FORMATS[format].ending
    if is_folder != path.is_dir():
        kind = "folder" if is_folder else "file"
        raise ValueError(
            f"`filepath` must be a {kind} for this format. "
            f"Received: filepath={path}, format={format!r}"
        )
    is_empty = is_folder and not any(path.iterdir())
    is_export = not is_folder or (path / FORMATS[format].mark).is_file()
    if not is_empty and not (overwrite and is_export):
        raise ValueError(
            "`filepath` must not exist, unless it is an exported file and `overwrite` "
            f"is set. Received: filepath={path}, overwrite={overwrite}"
        )
