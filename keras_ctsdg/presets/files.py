"""A preset on disk: a folder with Keras' own files of a model, and a card."""

import json
import os
import re
import tempfile
import zipfile
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
CARD = "README.md"
# Ours among Keras' metadata.
RECORD = "keras_ctsdg"
DTYPES = ("float32", "float16")
# Bytes of a text file in a preset: what is larger is none.
MAX_TEXT = 2**24


# === Places ===


def preset_folder(name):
    """Where the preset of that name is installed, or would be.

    `KERAS_CTSDG_HOME`, by default `keras_ctsdg` beside Keras' own cache.
    """
    home = os.environ.get("KERAS_CTSDG_HOME")
    if not home:
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras", "keras_ctsdg")
    return Path(home).expanduser() / "presets" / name


def is_name(preset):
    """Whether it is a preset's name: a plain word, no path."""
    return isinstance(preset, str) and bool(re.fullmatch(r"\w[\w-]*", preset))


def is_preset(folder):
    """Whether a folder holds a preset."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


def check_free(folder, overwrite, argument):
    """Checks that a preset may be written to a folder.

    Args:
        folder: `pathlib.Path`.
        overwrite: Bool, whether a preset that is there may be replaced.
        argument: Str, what the error calls the folder.

    Raises:
        ValueError: If something is there that may not be replaced.
    """
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
    """Writes a model's networks to a folder, whole or not at all.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        folder: `pathlib.Path`.
        dtype: `"float32"`, or `"float16"` for kernels of half the size.
        overwrite: Bool, whether a preset that is there is replaced.
        record: Dict of what is known of the weights, such as `source` and `step`.
        with_discriminator: Bool, whether the discriminator is written too.

    Raises:
        ValueError: If an argument breaks a rule above, or a kernel's numbers are
            beyond float16.
    """
    if dtype not in DTYPES:
        raise ValueError(f"`dtype` must be one of {DTYPES}. Received: dtype={dtype!r}")
    folder = Path(folder)
    check_free(folder, overwrite, "folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Without the optimizers and the perceptual network of a training.
    bare = type(model)(
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
        config = keras.saving.serialize_keras_object(bare)
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        bare.save_weights(partial / WEIGHTS)
        if dtype == "float16":
            os.replace(partial / WEIGHTS, Path(scratch, WEIGHTS))
            _copy_in_half(Path(scratch, WEIGHTS), partial / WEIGHTS)
        metadata = _metadata(bare, dtype, record or {})
        (partial / METADATA).write_text(json.dumps(metadata, indent=2) + "\n")
        (partial / CARD).write_text(_card(folder.name, metadata[RECORD]))
        if folder.exists():
            os.replace(folder, Path(scratch, "replaced"))
        os.replace(partial, folder)


def _copy_in_half(source, target):
    """Kernels in float16; biases and statistics, which need the range, stay."""
    import h5py

    with h5py.File(source, "r") as whole, h5py.File(target, "w") as half:

        def copy(name, item):
            if isinstance(item, h5py.Group):
                new = half.require_group(name)
            else:
                values = item[()]
                if values.ndim > 1:
                    values = _in_half(values, name)
                new = half.create_dataset(name, data=values)
            new.attrs.update(item.attrs)

        half.attrs.update(whole.attrs)
        whole.visititems(copy)


def _in_half(values, name):
    largest = np.abs(values).max(initial=0)
    if not largest <= np.finfo("float16").max:
        raise ValueError(
            'Numbers must lie within 65504 for dtype="float16". '
            f"Received: up to {largest} in {name}"
        )
    return values.astype("float16")


def _metadata(model, dtype, record):
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


def _card(name, record):
    """A model card, as the hubs show it."""
    numbers = ", ".join(f"{k} {n:,}" for k, n in record["parameters"].items())
    facts = {
        "Parameters": numbers,
        "Stored as": record["dtype"],
        "Gray and edge inputs": record["edges"],
        "Upsampling": record["upsampling"],
        "Training steps": record.get("step"),
    }
    source = record.get("source")
    if source:
        facts["Converted from"] = f"{source['file']} ({source['format']})"
        facts["SHA-256 of that file"] = source["sha256"]
    lines = [f"| {k} | {v} |" for k, v in facts.items() if v is not None]
    licence = record.get("license")
    return "\n".join(
        [
            "---",
            "library_name: keras",
            "pipeline_tag: image-to-image",
            "tags: [inpainting, ctsdg, keras-ctsdg]",
            *([f"license: {licence}"] if licence else []),
            "---",
            "",
            f"# {name}",
            "",
            "Weights of CTSDG (Guo, Yang and Huang, ICCV 2021), which fills holes in",
            "pictures, for the package `keras-ctsdg` on TensorFlow, JAX or PyTorch.",
            "",
            "```python",
            "import keras_ctsdg",
            "",
            f'model = keras_ctsdg.from_preset("path/to/{name}")',
            "```",
            "",
            "| | |",
            "|---|---|",
            *lines,
            "",
        ]
    )


# === Reading ===


def read_text(path, name):
    """One of the text files of a preset, parsed.

    Args:
        path: `pathlib.Path` of a preset's folder or of a `.keras` file.
        name: Str, `CONFIG` or `METADATA`.

    Returns:
        Dict.

    Raises:
        ValueError: If it is not there, too large, or not JSON.
    """
    try:
        if path.is_dir():
            size = (path / name).stat().st_size
            text = (path / name).read_bytes() if size <= MAX_TEXT else None
        else:
            with zipfile.ZipFile(path) as archive:
                size = archive.getinfo(name).file_size
                text = archive.read(name) if size <= MAX_TEXT else None
        content = json.loads(text)
    except (KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"A preset must hold {name}, Keras' own. Received: {path}, {error!r}"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{name} must be a JSON object. Received: {path}")
    return content


def about_parameters(filters):
    """About how many numbers a generator of that width holds.

    For checks that a file is as large as what it says, before memory is taken.
    """
    return 52_000_000 * (filters / 64) ** 2


def weights_size(path):
    """Bytes of a preset's weights.

    Args:
        path: `pathlib.Path` of a preset's folder or of a `.keras` file.
    """
    if path.is_dir():
        return (path / WEIGHTS).stat().st_size
    return path.stat().st_size
