"""Weights of the original networks, put into ours.

One explicit name map a source. Values are numpy arrays in the source's layout:
kernels as `[out, in, height, width]`.
"""

import hashlib
from pathlib import Path

import numpy as np

from keras_ctsdg.checkpoints.assign import assign_weights, match
from keras_ctsdg.checkpoints.mindspore_reader import read_mindspore_parts
from keras_ctsdg.checkpoints.name_maps import discriminator_names, generator_names
from keras_ctsdg.checkpoints.torch_reader import read_torch_parts
from keras_ctsdg.checkpoints.vgg16 import match_torchvision_vgg16
from keras_ctsdg.conventions import Edges, Upsampling
from keras_ctsdg.ctsdg import CTSDG
from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.models._initializers import blank
from keras_ctsdg.presets.files import (
    about_parameters,
    check_free,
    is_name,
    preset_folder,
    write_preset,
)

# What weights of either kind expect, beside edges of the wrapped picture.
UPSAMPLING = {"PyTorch": Upsampling.HALF_PIXEL, "MindSpore": Upsampling.ALIGN_CORNERS}


def load_authors_state(model, generator=None, discriminator=None):
    """Loads the authors' PyTorch weights, given as arrays, into a `CTSDG`.

    Nothing is changed unless every tensor fits. Counters of batch normalization
    and the aliases that the authors' discriminator saves twice are passed over.

    Args:
        model: A `keras_ctsdg.CTSDG`, or anything with a `generator` and a
            `discriminator`.
        generator: Dict of the authors' names and arrays, or `None` to leave the
            generator as it is. Defaults to `None`.
        discriminator: The same for the discriminator.

    Raises:
        ValueError: If neither is given, or tensors are missing, unexpected or of
            another shape; all are listed.

    Example:

    ```python
    state = keras_ctsdg.convert.read_torch(Path("CelebA.pt"))["generator"]
    keras_ctsdg.convert.load_authors_state(model, generator=state)
    ```
    """
    if generator is None and discriminator is None:
        raise ValueError(
            "`generator` or `discriminator` must be given. "
            "Received: generator=None, discriminator=None"
        )
    assign_weights(_matches(model, generator, discriminator))


def _matches(model, generator=None, discriminator=None):
    assignments = []
    if generator is not None:
        assignments += match(model.generator, generator, generator_names(), "generator")
    if discriminator is not None:
        assignments += match(
            model.discriminator, discriminator, discriminator_names(), "discriminator"
        )
    return assignments


def load_torchvision_vgg16(vgg, state):
    """Loads torchvision's VGG16, given as arrays, into a `VGG16Features`.

    Deeper convolutions and the classifier, which the losses never reach, are
    passed over.

    Args:
        vgg: A `keras_ctsdg.models.VGG16Features`.
        state: Dict of torchvision's names (`features.0.weight`, ...) and arrays.

    Raises:
        ValueError: If tensors are missing, unexpected or of another shape; all
            are listed.

    Example:

    ```python
    vgg = keras_ctsdg.models.VGG16Features(weights=None)
    state = keras_ctsdg.convert.read_torch(Path("vgg16-397923af.pth"))
    keras_ctsdg.convert.load_torchvision_vgg16(vgg, state)
    ```
    """
    assign_weights(match_torchvision_vgg16(vgg, state))


# === Checkpoints ===


def convert_checkpoint(source, destination, dtype="float32", overwrite=False):
    """Makes a preset of a checkpoint of the original implementations.

    Either all of it is converted or nothing is written. No code of the file is run.

    Args:
        source: Path of the authors' PyTorch file (`.pt`: both networks, or a bare
            state dict of the generator; needs the extra `torch`), or of the
            MindSpore port's `generator_*.ckpt`, whose `discriminator_*.ckpt` is
            taken along if it lies beside it.
        destination: Str, the name under which the preset is installed, such as
            `"celeba"`; or the path of a folder (a `pathlib.Path`, or a str that is
            no plain word).
        dtype: `"float32"`, or `"float16"` for half the size. Defaults to
            `"float32"`.
        overwrite: Bool, whether a preset that is there is replaced. Defaults to
            `False`.

    Returns:
        `pathlib.Path` of the preset's folder.

    Raises:
        ValueError: If an argument breaks a rule above, or a tensor is missing,
            unexpected, of another shape or not finite; all are listed.
        ImportError: If PyTorch is needed and not installed.

    Example:

    ```python
    keras_ctsdg.convert.convert_checkpoint("CelebA.pt", "celeba")
    model = keras_ctsdg.from_preset("celeba")
    ```
    """
    source = Path(source)
    named = is_name(destination)
    folder = preset_folder(destination) if named else Path(destination)
    check_free(folder, overwrite, "destination")
    if not source.is_file():
        raise ValueError(
            f"`source` must be a file that exists. Received: source={source}"
        )
    kind = "MindSpore" if source.suffix == ".ckpt" else "PyTorch"
    model, step = _load_checkpoint(source, kind)
    with open(source, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    record = {
        "source": {"file": source.name, "format": kind, "sha256": digest},
        "license": {"PyTorch": "mit", "MindSpore": "apache-2.0"}[kind],
    }
    if step is not None:
        record["step"] = step
    write_preset(model, folder, dtype, overwrite, record)
    return folder


def _load_checkpoint(source, kind):
    """The model and the training step; what was read is freed before it is saved."""
    parts, step = _READERS[kind](source)
    with blank():
        model = _fitting_model(parts, UPSAMPLING[kind])
    assignments = _matches(model, **parts)
    del parts
    assign_weights(assignments)
    return model, step


_READERS = {"PyTorch": read_torch_parts, "MindSpore": read_mindspore_parts}


def _fitting_model(parts, upsampling):
    """A `CTSDG` as wide as the checkpoint; what does not fit it is listed later."""
    filters = _width(parts["generator"])
    judged = parts.get("discriminator") is not None
    return CTSDG(
        Generator(filters=filters, upsampling=upsampling),
        Discriminator(filters=filters) if judged else None,
        edges=Edges.WRAPPED,
    )


def _width(state):
    first = np.asarray(state.get("ec_texture_1.conv.weight", ()))
    width = first.shape[0] if first.ndim == 4 else 0
    # Memory is taken for a network only if the file filled about as much.
    total = sum(np.size(value) for value in state.values())
    if width and width % 4 == 0 and 4 * total >= about_parameters(width):
        return width
    return 64
