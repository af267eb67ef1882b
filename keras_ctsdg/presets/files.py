"""Presets on disk: folders with Keras' own files of a model, and a model card."""

import json
import os
import re
import tempfile
import zipfile
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from keras_ctsdg._checks import check_choice, check_writable_folder
from keras_ctsdg._downloads import home_folder, refuse_failed_download
from keras_ctsdg.presets.card import build_card
from keras_ctsdg.training.distribution import alone, is_main_process

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
CARD = "README.md"
# The folder of the presets that are part of this package.
BUNDLED = Path(__file__).with_name("bundled")
# The key of our entry in Keras' metadata.
RECORD = "keras_ctsdg"
# The size limit of a preset's JSON files, in bytes, and how deep they may be nested:
# Keras writes some 20 levels, and recurses at each.
MAX_JSON_BYTES, MAX_JSON_DEPTH = 2**24, 100


class Dtype(StrEnum):
    """How the kernels of a preset are stored."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


# === Names and folders ===


def preset_folder(name):
    """Return the folder in which the preset of a name is or would be installed.

    It is in `$KERAS_CTSDG_HOME/presets`, by default `~/.keras/keras_ctsdg/presets`.
    `KERAS_HOME` moves `~/.keras`, as in Keras.

    Args:
        name: Str, the name of the preset.

    Returns:
        `pathlib.Path`, which need not exist.
    """
    return home_folder() / "presets" / name


def find_preset(name):
    """Return the folder of the preset of a name: installed, or part of the package.

    Args:
        name: Str, the name of the preset.

    Returns:
        `pathlib.Path`, or `None` if there is none. One that was installed under the
        name of the package's own takes its place.
    """
    return next(filter(is_preset, (preset_folder(name), BUNDLED / name)), None)


def is_preset_name(preset):
    """Return whether an argument is a name of letters, digits, `_` and `-`."""
    return isinstance(preset, str) and bool(re.fullmatch(r"\w[\w-]*", preset))


def is_preset(folder):
    """Return whether a folder holds a preset."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def check_destination(folder, overwrite, argument):
    """Check that a preset may be written to a folder.

    Args:
        folder: `pathlib.Path`.
        overwrite: Bool, whether an existing preset may be replaced.
        argument: Str, the name of `folder` in errors.

    Raises:
        ValueError: If the folder holds anything that may not be replaced.
    """
    check_writable_folder(argument, folder)
    empty = folder.is_dir() and not any(folder.iterdir())
    if not folder.exists() or empty or (overwrite and is_preset(folder)):
        return
    raise ValueError(
        f"`{argument}` must be a folder that does not exist yet or is empty"
        + (", or a preset to be replaced" if overwrite else "")
        + f". Received: {argument}={folder}, overwrite={overwrite}"
    )


# === Writing ===


def write_preset(
    model,
    folder,
    dtype="float32",
    overwrite=False,
    record=None,
    with_discriminator=True,
):
    """Write a model's networks to a folder, completely or not at all.

    Of several processes that train together, only the first one writes.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        folder: Path of the folder.
        dtype: `"float32"`, or `"float16"` for kernels of half the size. Defaults to
            `"float32"`.
        overwrite: Bool, whether an existing preset is replaced. Defaults to `False`.
        record: Dict of further metadata, such as `source`, `license` and `step`.
            Defaults to `None`.
        with_discriminator: Bool, whether the discriminator is written, too. Defaults
            to `True`.

    Raises:
        ValueError: If an argument breaks a rule above, or a kernel's values exceed
            the range of float16.
    """
    check_choice("dtype", dtype, Dtype)
    if not is_main_process():
        return
    folder = Path(folder)
    check_destination(folder, overwrite, "folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A new model has no optimizers and no perceptual network, which are not saved.
    with alone():
        uncompiled = type(model)(
            model.generator,
            model.discriminator if with_discriminator else None,
            edges=model.edges,
            sigma=model.sigma,
        )
    with tempfile.TemporaryDirectory(
        dir=folder.parent, prefix=f".{folder.name}."
    ) as scratch:
        partial = Path(scratch, "preset")
        partial.mkdir()
        config = keras.saving.serialize_keras_object(uncompiled)
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        uncompiled.save_weights(partial / WEIGHTS)
        if dtype == "float16":
            os.replace(partial / WEIGHTS, Path(scratch, WEIGHTS))
            _copy_as_float16(Path(scratch, WEIGHTS), partial / WEIGHTS)
        metadata = _build_metadata(uncompiled, dtype, record or {})
        (partial / METADATA).write_text(json.dumps(metadata, indent=2) + "\n")
        (partial / CARD).write_text(build_card(folder.name, metadata[RECORD]))
        if folder.exists():
            os.replace(folder, Path(scratch, "replaced"))
        os.replace(partial, folder)


def _copy_as_float16(source, target):
    """Copy a weights file with its kernels in float16.

    Biases and statistics are small and may need the range of float32.
    """
    import h5py

    with h5py.File(source, "r") as old, h5py.File(target, "w") as new:

        def copy(name, item):
            if isinstance(item, h5py.Group):
                copied = new.require_group(name)
            else:
                values = item[()]
                if values.ndim > 1:
                    values = _to_float16(values, name)
                copied = new.create_dataset(name, data=values)
            copied.attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)


def _to_float16(values, name):
    largest = np.abs(values).max(initial=0)
    if not largest <= np.finfo("float16").max:
        raise ValueError(
            'Weights must be within 65504 for dtype="float16". '
            f"Received: up to {largest} in {name}"
        )
    return values.astype("float16")


def _build_metadata(model, dtype, record):
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    parameters = {
        name: sum(int(np.prod(v.shape)) for v in network.trainable_variables)
        for name, network in networks.items()
        if network is not None
    }
    return {
        "keras_version": keras.__version__,
        "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
        RECORD: {
            "version": version("keras-ctsdg"),
            "edges": model.edges,
            "upsampling": model.generator.upsampling,
            "filters": model.generator.filters,
            "parameters": parameters,
            "dtype": dtype,
            **record,
        },
    }


# === Reading ===


def _check_json_size(size):
    if size > MAX_JSON_BYTES:
        raise ValueError(f"it has more than {MAX_JSON_BYTES} bytes")


def _depth(text):
    """Return how deep JSON is nested, or more if strings hold brackets."""
    levels = np.frombuffer(text, "u1")
    opened = np.isin(levels, (ord("["), ord("{"))).astype("int8")
    closed = np.isin(levels, (ord("]"), ord("}"))).astype("int8")
    return int(np.cumsum(opened - closed, dtype="int64").max(initial=0))


def read_json(path, name):
    """Read one of the JSON files of a preset.

    Args:
        path: `pathlib.Path` of a preset's folder or of a `.keras` file.
        name: Str, `CONFIG` or `METADATA`.

    Returns:
        Dict.

    Raises:
        ValueError: If the file is missing, too large, or not a JSON object.
    """
    if path.is_file():
        refuse_failed_download(path)
    try:
        if path.is_dir():
            _check_json_size((path / name).stat().st_size)
            text = (path / name).read_bytes()
        else:
            with zipfile.ZipFile(path) as archive:
                _check_json_size(archive.getinfo(name).file_size)
                text = archive.read(name)
        if _depth(text) > MAX_JSON_DEPTH:
            raise ValueError(f"it is nested more than {MAX_JSON_DEPTH} deep")
        content = json.loads(text)
    # Damaged archives raise errors of many classes.
    except Exception as error:
        raise ValueError(
            f"A preset must hold Keras' {name}. Received: {path}, {error!r}"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{name} must be a JSON object. Received: {path}")
    return content


def estimate_parameters(filters):
    """Return roughly how many parameters a generator has.

    Files are checked against it before memory is allocated for their networks.

    Args:
        filters: Int, the width of the generator.
    """
    # In integers, for a float would overflow where a file is up to no good.
    return 52_000_000 * filters**2 // 64**2


def weights_size(path):
    """Return the size of a preset's weights in bytes.

    Args:
        path: `pathlib.Path` of a preset's folder or of a `.keras` file.
    """
    if path.is_dir():
        return (path / WEIGHTS).stat().st_size
    return path.stat().st_size
