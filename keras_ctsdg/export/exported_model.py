"""An exported file as a model that fills images."""

import os
from pathlib import Path

import numpy as np

from keras_ctsdg.conventions import image_to_levels, levels_to_image
from keras_ctsdg.export.formats import format_of_folder, format_of_path
from keras_ctsdg.export.graph import TOPS
from keras_ctsdg.export.runtimes import open_file
from keras_ctsdg.inpainting.model import FillsImages
from keras_ctsdg.models import Generator

ADVICE = "train and export the preset or the `.keras` file that it was made from"


class ExportedModel(FillsImages):
    """A file that `CTSDG.export` wrote, in its own runtime.

    It fills images as the model does that was exported, in `inpaint`. A file for one
    size of images fills others in windows of its own size. Files for uint8 images
    fill with 8 bits a channel.

    Args:
        filepath: Path of the file, or of the folder of a SavedModel.
        precision: `"float32"`, or `"fast"`: OpenVINO may compute in half precision,
            apart from gray and edges. Other formats ignore it. Defaults to
            `"float32"`.

    Attributes:
        metadata: Dict of str to str, what the file says about itself.

    Raises:
        ImportError: If the runtime of the format is not installed.
        ValueError: If the file cannot be loaded, or `CTSDG.export` did not write it.

    Example:

    ```python
    model = keras_ctsdg.from_preset("model.onnx")
    filled = model.inpaint("photo.jpg", "mask.png")
    ```
    """

    # The file computes gray and edge itself, and cannot be trained.
    edges = None
    discriminator = None

    def __init__(self, filepath, precision="float32"):
        self.runtime = open_file(filepath, precision)
        self.metadata = self.runtime.metadata
        self.image_dtype = self.metadata["image_dtype"]
        self.sigma = float(self.metadata["sigma"])
        self.generator = ExportedGenerator(self.metadata)

    def __getattr__(self, name):
        raise AttributeError(
            f"An exported file fills images only, and has no `{name}`: {ADVICE}.",
            name=name,
            obj=self,
        )

    def predict_on_batch(self, x):
        """Fill the holes of a batch.

        Args:
            x: Dict of arrays: `image` `[B, H, W, 3]` in [-1, 1] and `mask`
                `[B, H, W, 1]`, not 0 in the hole. Further entries are ignored.

        Returns:
            Float32 array `[B, H, W, 3]` in [-1, 1].

        Raises:
            ValueError: If the file does not take images of this size.
        """
        image, mask = np.asarray(x["image"], "float32"), np.asarray(x["mask"]) > 0
        size = self.generator.image_shape[:2]
        if None not in size and image.shape[1:3] != size:
            raise ValueError(
                f"`image` must be of the exported size, {size[0]} x {size[1]} "
                f"(height x width). Received: image.shape={image.shape}"
            )
        top = TOPS[self.image_dtype]
        levels = np.clip(image_to_levels(image, top), 0, top)
        if self.image_dtype == "uint8":
            levels = np.rint(levels)
        filled = self.runtime(
            levels.astype(self.image_dtype), mask.astype(self.image_dtype)
        )["filled"]
        filled = levels_to_image(filled.astype("float32"), top)
        return np.where(mask, filled, image)


class ExportedGenerator:
    """What `inpaint` asks about the network in an exported file.

    Args:
        metadata: Dict of str to str.
    """

    estimate_memory = Generator.estimate_memory
    variables = ()

    def __init__(self, metadata):
        self.filters = int(metadata["filters"])
        size = (metadata[key] for key in ("height", "width"))
        self.image_shape = (*(int(x) if x.isdigit() else None for x in size), 3)


def is_exported_file(path):
    """Return whether a path is that of a file or folder of an export's format."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    path = Path(path)
    if path.is_dir():
        return format_of_folder(path) is not None
    return path.is_file() and format_of_path(path) is not None and bool(path.suffix)


def refuse_exported_file(preset, name):
    """Refuse an exported file where the networks themselves are needed.

    Args:
        preset: As `keras_ctsdg.from_preset` takes it.
        name: Str, what the error calls it.

    Raises:
        ValueError: If it is an exported file.
    """
    if is_exported_file(preset):
        raise ValueError(
            f"{name} must be a preset or a `.keras` file. An exported file fills "
            f"images only: {ADVICE}, whose name is in the file's metadata. "
            f"Received: {name} {preset}"
        )


def load_exported(path, dtype=None, load_weights=True):
    """Load an exported file, for `keras_ctsdg.from_preset`.

    Args:
        path: Path of the file or folder.
        dtype, load_weights: As `from_preset` has them; the file decides both.

    Returns:
        `ExportedModel`.

    Raises:
        ValueError: If the arguments ask for something else than what the file holds.
    """
    if dtype is not None or not load_weights:
        raise ValueError(
            "An exported file fills images only, with its own dtype and weights: "
            "`dtype` must be `None` and `load_weights` true. Received: "
            f"preset={path}, dtype={dtype!r}, load_weights={load_weights}"
        )
    return ExportedModel(path)
