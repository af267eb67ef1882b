"""Conversion of the original implementations' weights.

State dicts hold numpy arrays in the layout of their source, kernels as
`[out, in, height, width]`.
"""

import hashlib
from pathlib import Path

import numpy as np

from keras_ctsdg.checkpoints.assign import assign_weights, match
from keras_ctsdg.checkpoints.mindspore_reader import read_mindspore_parts
from keras_ctsdg.checkpoints.name_maps import (
    discriminator_names,
    generator_names,
    rename_mindspore_state,
    strip_wrappers,
)
from keras_ctsdg.checkpoints.torch_reader import read_torch, read_torch_parts
from keras_ctsdg.checkpoints.vgg16 import match_torchvision_vgg16
from keras_ctsdg.conventions import Edges, Upsampling
from keras_ctsdg.ctsdg import CTSDG
from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.models._initializers import skip_initialization
from keras_ctsdg.presets.files import (
    check_destination,
    estimate_parameters,
    is_preset_name,
    preset_folder,
    write_preset,
)

__all__ = [
    "convert_checkpoint",
    "load_authors_state",
    "load_torchvision_vgg16",
    "read_torch",
]

# The upsampling that the weights of each format were trained with.
UPSAMPLING = {"PyTorch": Upsampling.HALF_PIXEL, "MindSpore": Upsampling.ALIGN_CORNERS}
LICENSES = {"PyTorch": "mit", "MindSpore": "apache-2.0"}

# === State dicts ===


def load_authors_state(model, generator=None, discriminator=None):
    """Load the authors' PyTorch weights, given as arrays, into a `CTSDG`.

    Nothing is changed unless every tensor fits. Counters of batch normalization, and
    the aliases under which the authors' discriminator saves tensors a second time,
    are skipped.

    Args:
        model: A `keras_ctsdg.CTSDG`, or anything with a `generator` and a
            `discriminator`.
        generator: Dict of the authors' names and arrays, or `None` to keep the
            generator's weights. Defaults to `None`.
        discriminator: Dict of the authors' names and arrays, or `None` to keep the
            discriminator's weights. Defaults to `None`.

    Raises:
        ValueError: If neither is given, or tensors are missing, unexpected, of
            another shape or not finite; all are listed.

    Example:

    ```python
    states = keras_ctsdg.convert.read_torch(Path("CelebA.pt"))
    keras_ctsdg.convert.load_authors_state(
        model, states["generator"], states["discriminator"]
    )
    ```
    """
    if generator is None and discriminator is None:
        raise ValueError(
            "`generator` or `discriminator` must be given. "
            "Received: generator=None, discriminator=None"
        )
    assign_weights(_match_networks(model, generator, discriminator))


def _match_networks(model, generator=None, discriminator=None):
    """Return the pairs (variable, array) of the networks that are given."""
    assignments = []
    if generator is not None:
        assignments += match(
            model.generator, strip_wrappers(generator), generator_names(), "generator"
        )
    if discriminator is not None:
        assignments += match(
            model.discriminator,
            strip_wrappers(discriminator),
            discriminator_names(),
            "discriminator",
        )
    return assignments


def load_torchvision_vgg16(vgg, state):
    """Load torchvision's VGG16, given as arrays, into a `VGG16Features`.

    Deeper convolutions and the classifier, which the losses do not use, are skipped.

    Args:
        vgg: A `keras_ctsdg.models.VGG16Features`.
        state: Dict of torchvision's names (`features.0.weight`, ...) and arrays.

    Raises:
        ValueError: If tensors are missing, unexpected, of another shape or not
            finite; all are listed.

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
    """Convert a checkpoint of the original implementations to a preset.

    Either everything is converted or nothing is written. Code in the file is not run.

    Args:
        source: Path of the authors' PyTorch file (`.pt`: both networks, or a bare
            state dict of the generator; needs the extra `torch`), or of the
            MindSpore port's `generator_*.ckpt`. A `discriminator_*.ckpt` with the
            same ending in the same folder is converted, too.
        destination: Str, the name under which the preset is installed, such as
            `"celeba"`; or the path of a folder, as a `pathlib.Path` or a str with
            other characters than letters, digits, `_` and `-`.
        dtype: `"float32"`, or `"float16"` for kernels of half the size. Defaults to
            `"float32"`.
        overwrite: Bool, whether an existing preset is replaced. Defaults to `False`.

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
    folder = Path(destination)
    if is_preset_name(destination):
        folder = preset_folder(destination)
    check_destination(folder, overwrite, "destination")
    if not source.is_file():
        raise ValueError(
            f"`source` must be an existing file. Received: source={source}"
        )
    source_format = "MindSpore" if source.suffix == ".ckpt" else "PyTorch"
    model, step = _load_checkpoint(source, source_format)
    with open(source, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    record = {
        "source": {"file": source.name, "format": source_format, "sha256": digest},
        "license": LICENSES[source_format],
    }
    if step is not None:
        record["step"] = step
    write_preset(model, folder, dtype, overwrite, record)
    return folder


def _load_checkpoint(source, source_format):
    """Return a model with a checkpoint's weights, and the training step or `None`."""
    states, step = _READERS[source_format](source)
    with skip_initialization():
        model = _create_model(states, UPSAMPLING[source_format])
    assignments = _match_networks(model, **states)
    # Each array is then released as soon as its variable is assigned.
    del states
    assign_weights(assignments)
    return model, step


def _read_mindspore(source):
    """Read the MindSpore port's files, with the authors' names."""
    states, step = read_mindspore_parts(source)
    names = {"generator": generator_names(), "discriminator": discriminator_names()}
    states = {
        part: rename_mindspore_state(state, names[part])
        for part, state in states.items()
    }
    return states, step


_READERS = {"PyTorch": read_torch_parts, "MindSpore": _read_mindspore}


def _create_model(states, upsampling):
    """Return a `CTSDG` of the checkpoint's width."""
    filters = _infer_filters(states["generator"])
    has_discriminator = states.get("discriminator") is not None
    return CTSDG(
        Generator(filters=filters, upsampling=upsampling),
        Discriminator(filters=filters) if has_discriminator else None,
        edges=Edges.WRAPPED,
    )


def _infer_filters(state):
    """Return the width of a generator by its first kernel, or the default width."""
    kernel = np.asarray(state.get("ec_texture_1.conv.weight", ()))
    filters = kernel.shape[0] if kernel.ndim == 4 else 0
    # A small file must not make us allocate a huge network.
    total = sum(np.size(value) for value in state.values())
    if filters and filters % 4 == 0 and 4 * total >= estimate_parameters(filters):
        return filters
    return 64
