"""Weights of the original networks, put into ours.

One explicit name map a source. Values are numpy arrays in the source's layout:
kernels as `[out, in, height, width]`.
"""

import hashlib
import zipfile
from pathlib import Path

import numpy as np

from keras_ctsdg.mindspore import read_mindspore_parts
from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.models.initial import blank
from keras_ctsdg.name_maps import (
    discriminator_names,
    generator_names,
    match,
    vgg16_names,
)
from keras_ctsdg.preset_files import (
    about_parameters,
    check_free,
    is_name,
    preset_folder,
    write_preset,
)
from keras_ctsdg.training import CTSDG

PARTS = ("generator", "discriminator")
# What weights of either kind expect, beside edges of the wrapped picture.
UPSAMPLING = {"PyTorch": "half_pixel", "MindSpore": "align_corners"}
# The authors' file has 0.2 GB; optimizers would make it three times that.
MAX_BYTES = 2**32


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
    _assign(_matches(model, generator, discriminator))


def _matches(model, generator=None, discriminator=None):
    assignments = []
    if generator is not None:
        assignments += match(model.generator, generator, generator_names(), "generator")
    if discriminator is not None:
        assignments += match(
            model.discriminator, discriminator, discriminator_names(), "discriminator"
        )
    return assignments


def _assign(assignments):
    """Assigns the values, and lets go of each."""
    while assignments:
        variable, value = assignments.pop()
        variable.assign(value)


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
    state = torchvision_features(state)
    _assign(match(vgg, state, vgg16_names(), "state"))


def torchvision_features(state):
    """Those of torchvision's tensors of VGG16 that are not deeper than the third pool.

    Args:
        state: Dict of torchvision's names and arrays.

    Returns:
        Dict, without the deeper convolutions and the classifier.
    """
    deeper = {f"features.{i}" for i in (17, 19, 21, 24, 26, 28)}
    return {
        name: value
        for name, value in state.items()
        if not name.startswith("classifier.") and name.rpartition(".")[0] not in deeper
    }


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
    _assign(assignments)
    return model, step


def read_torch(path):
    """Reads a PyTorch file of tensors, by the loader that runs no code.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        What the file holds, tensors as numpy arrays.

    Raises:
        ValueError: If the file holds more than tensors, is damaged or too large.
        ImportError: If PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "PyTorch's files are read by PyTorch. Install it with "
            f'`pip install "keras-ctsdg[torch]"`. Received: {path}'
        ) from error
    size = _unpacked_size(path)
    if size > MAX_BYTES:
        raise ValueError(
            f"A PyTorch file must unpack to less than {MAX_BYTES >> 30} GiB. "
            f"Received: {path}, {size} bytes"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    # Damage and forbidden code raise nearly anything.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise ValueError(
            "A PyTorch file must be whole and hold tensors alone; code in it is not "
            f"run. Received: {path}, {reason}"
        ) from error
    return _as_arrays(content)


def _unpacked_size(path):
    if not zipfile.is_zipfile(path):
        return path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _as_arrays(content):
    if isinstance(content, dict):
        return {name: _as_arrays(value) for name, value in content.items()}
    return content.numpy() if hasattr(content, "numpy") else content


def _read_torch_parts(path):
    """The authors' file: state dicts by part, and the training step."""
    content = read_torch(path)
    parts = content
    if isinstance(content, dict) and "generator" not in content:
        parts, content = {"generator": content}, {}
    if not isinstance(content, dict) or not all(
        isinstance(parts[part], dict) for part in PARTS if part in parts
    ):
        raise ValueError(
            "`source` must hold the authors' state dicts. "
            f"Received: source={path}, with {_kinds(parts)}"
        )
    return {part: parts[part] for part in PARTS if part in parts}, content.get("n_iter")


def _kinds(content):
    if not isinstance(content, dict):
        return type(content).__name__
    return {name: type(value).__name__ for name, value in content.items()}


_READERS = {"PyTorch": _read_torch_parts, "MindSpore": read_mindspore_parts}


def _fitting_model(parts, upsampling):
    """A `CTSDG` as wide as the checkpoint; what does not fit it is listed later."""
    filters = _width(parts["generator"])
    judged = parts.get("discriminator") is not None
    return CTSDG(
        Generator(filters=filters, upsampling=upsampling),
        Discriminator(filters=filters) if judged else None,
        edges="wrapped",
    )


def _width(state):
    first = np.asarray(state.get("ec_texture_1.conv.weight", ()))
    width = first.shape[0] if first.ndim == 4 else 0
    # Memory is taken for a network only if the file filled about as much.
    total = sum(np.size(value) for value in state.values())
    if width and width % 4 == 0 and 4 * total >= about_parameters(width):
        return width
    return 64
