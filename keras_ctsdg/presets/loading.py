"""Loading of models from presets, and the list of known presets."""

import os
import textwrap
from pathlib import Path

import keras

from keras_ctsdg._checks import check_positive
from keras_ctsdg.export.exported_model import is_exported_file, load_exported
from keras_ctsdg.models._initializers import skip_initialization
from keras_ctsdg.presets.files import (
    BUNDLED,
    CONFIG,
    METADATA,
    RECORD,
    WEIGHTS,
    estimate_parameters,
    find_preset,
    is_preset,
    is_preset_name,
    preset_folder,
    read_json,
    weights_size,
)

# The preset that is part of this package, and the default of commands that fill.
DEFAULT_PRESET = "demo"
# Weights that others published. This package hosts none; users convert them once.
PUBLISHED = {
    "celeba": {
        "description": "Aligned faces of 256 x 256, trained on CelebA by the authors",
        "parameters": 57_679_518,
        "license": "mit",
        "published": {
            "PyTorch, by the authors": "https://drive.google.com/drive/folders/"
            "1lcATVc_U7plyEI__j5NWKCmKV_MNuhwq",
            "MindSpore": "https://gitee.com/mindspore/models/tree/master/research/cv/"
            "CTSDG",
        },
    }
}
HUBS = ("hf://", "kaggle://")
REGISTERED_NAMES = {
    "model": "keras_ctsdg>CTSDG",
    "generator": "keras_ctsdg>Generator",
    "discriminator": "keras_ctsdg>Discriminator",
}


def from_preset(preset, dtype=None, load_weights=True, with_discriminator=True):
    """Load a model by the name of a preset, or from a folder, a file or a hub.

    The model is not compiled. It can fill images right away, and train after
    `compile`. To resume the training of a `.keras` file, use
    `keras.saving.load_model`.

    Args:
        preset: Str, one of

            - a name, such as `"demo"`, which is part of this package, or `"celeba"`:
              see `keras_ctsdg.list_presets`;
            - the path of a preset's folder, or of a `.keras` file of a
              `keras_ctsdg.CTSDG`, also as a `pathlib.Path`;
            - the path of a file that `CTSDG.export` wrote, such as `"model.onnx"`;
            - `"hf://owner/name"`, on the Hugging Face hub;
            - `"kaggle://owner/model/keras/variation"`, on Kaggle.
        dtype: Str or `keras.DTypePolicy`, such as `"mixed_bfloat16"`, for both
            networks. Defaults to what the preset was saved with.
        load_weights: Bool. `False` gives the architecture with random weights.
            Defaults to `True`.
        with_discriminator: Bool. `False` leaves the discriminator out, which filling
            images does not need. A preset may also be without one. Defaults to
            `True`.

    Returns:
        A `keras_ctsdg.CTSDG`; for an exported file, a
        `keras_ctsdg.export.ExportedModel`, which fills images only.

    Raises:
        ImportError: If the runtime of an exported file is not installed.
        FileNotFoundError: If the preset is published but not installed.
        ValueError: If there is no such preset, or it does not hold a
            `keras_ctsdg.CTSDG`.
        OSError: If a hub cannot be reached.

    Example:

    ```python
    model = keras_ctsdg.from_preset("demo")
    model = keras_ctsdg.from_preset("trained/model.keras", dtype="mixed_bfloat16")
    ```
    """
    if is_exported_file(preset):
        return load_exported(preset, dtype, load_weights)
    path = locate(preset)
    config = read_json(path, CONFIG)
    _check_config(config, path)
    # Optimizers and the perceptual network are not loaded.
    config.pop("compile_config", None)
    networks = config["config"]
    networks.pop("dtype", None)
    if not with_discriminator:
        networks["discriminator"] = None
    if dtype is not None:
        policy = keras.dtype_policies.serialize(keras.dtype_policies.get(dtype))
        for network in _networks(config).values():
            network["config"]["dtype"] = policy
    if not load_weights:
        return _create_model(config, path)
    with skip_initialization():
        model = _create_model(config, path)
    _load_weights(model, path)
    return model


def list_presets():
    """List the presets: those of this package, installed ones, and published ones.

    Returns:
        Dict of names, each with a dict of `description` (str), `parameters` (int),
        `size` (int, bytes on disk, or of float32 weights if not installed), `license`
        (str, or `None` if unknown), `installed` (bool), `path` (str, of the folder)
        and `published` (dict: publisher, URL).

    Example:

    >>> keras_ctsdg.list_presets()["celeba"]["license"]
    'mit'
    """
    home = preset_folder("any").parent
    folders = [*sorted(BUNDLED.glob("*")), *sorted(home.glob("*"))]
    found = [path.name for path in folders if is_preset(path)]
    return {
        name: _describe(name) for name in [*found, *PUBLISHED] if is_preset_name(name)
    }


def _describe(name):
    folder = find_preset(name)
    known = PUBLISHED.get(name, {})
    entry = {
        "description": known.get("description", "Converted or saved here"),
        "parameters": known.get("parameters"),
        "size": 4 * known.get("parameters", 0),
        "license": known.get("license"),
        "installed": folder is not None,
        "path": str(folder or preset_folder(name)),
        "published": dict(known.get("published", {})),
    }
    if folder is not None:
        record = read_json(folder, METADATA).get(RECORD, {})
        entry["size"] = weights_size(folder)
        entry["parameters"] = sum(record.get("parameters", {}).values())
        for key in ("description", "license"):
            entry[key] = record.get(key, entry[key])
    return entry


# === Sources ===


def locate(preset):
    """Return the path of a preset's folder or `.keras` file, as `from_preset` does."""
    if isinstance(preset, str) and preset.startswith(HUBS):
        return _check_files(_download(preset), preset)
    if not isinstance(preset, (str, os.PathLike)):
        raise ValueError(
            "`preset` must be a name, a path or a hub handle. "
            f"Received: preset={preset!r} of type {type(preset).__name__}"
        )
    if is_preset_name(preset):
        folder = find_preset(preset)
        if folder is not None:
            return folder
        if not Path(preset).exists():
            raise _not_installed(preset)
    return _check_files(Path(preset), preset)


def _check_files(path, preset):
    """Return the path after checking that it holds a preset's files."""
    if path.is_dir():
        absent = [name for name in (CONFIG, WEIGHTS) if not (path / name).is_file()]
        if not absent:
            return path
        raise ValueError(
            f"A preset's folder must hold {CONFIG} and {WEIGHTS}. "
            f"Received: preset={preset}, without {' and '.join(absent)}"
        )
    if path.is_file() and path.suffix == ".keras":
        return path
    raise ValueError(
        "`preset` must be a preset's name, its folder, an existing `.keras` file, an "
        f"exported file, or start with {' or '.join(HUBS)}. Received: preset={preset}"
    )


def _not_installed(name):
    """Return the error for a name that is not installed."""
    if name not in PUBLISHED:
        return ValueError(
            f"`preset` must be the name of a preset, one of {list(list_presets())}. "
            f"Received: preset={name!r}"
        )
    where = " and ".join(PUBLISHED[name]["published"].values())
    return FileNotFoundError(
        f"The preset {name!r} is not installed, and nothing was downloaded. Its "
        f"weights are published at {where}.\n"
        f"Convert them once: keras-ctsdg convert CHECKPOINT {name}\n"
        f"Received: preset={name!r}, not in {preset_folder(name).parent}"
    )


def _download(preset):
    """Download a preset with the hub's own client and return its folder."""
    scheme, _, handle = preset.partition("://")
    try:
        if scheme == "kaggle":
            import kagglehub

            return Path(kagglehub.model_download(handle))
        import huggingface_hub

        files = [CONFIG, METADATA, WEIGHTS]
        return Path(huggingface_hub.snapshot_download(handle, allow_patterns=files))
    except ImportError:
        raise
    # Each client has its own errors for problems of the network.
    except Exception as error:
        raise OSError(
            f"The preset could not be downloaded: {error}. Received: preset={preset}"
        ) from error


# === Contents ===


def _networks(config):
    """Return the configs of a model's networks, without a missing discriminator."""
    parts = ("generator", "discriminator")
    networks = {part: config["config"].get(part) for part in parts}
    return {part: network for part, network in networks.items() if network is not None}


def _check_config(config, path):
    """Check that a config describes a `CTSDG` which is as large as its weights.

    Keras checks everything else. Its safe mode runs no code of the file.
    """
    try:
        names = {"model": config["registered_name"]}
        for part, network in _networks(config).items():
            names[part] = network["registered_name"]
        networks = _networks(config).values()
        filters = [check_positive("filters", n["config"]["filters"]) for n in networks]
        wrong = [part for part, name in names.items() if name != REGISTERED_NAMES[part]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        wrong = [repr(error)]
    if wrong or "generator" not in names:
        name = config.get("registered_name") or config.get("class_name")
        raise ValueError(
            f"A preset must hold a keras_ctsdg.CTSDG. Received: {path}, {CONFIG} of "
            + textwrap.shorten(repr(name), 100)
            + f" ({', '.join(wrong) or 'no generator'})"
        )
    # A small file must not make us allocate a huge network.
    if weights_size(path) < estimate_parameters(max(filters)):
        raise ValueError(
            f"A preset's weights must be as large as its networks. Received: {path}, "
            f"{weights_size(path)} bytes for filters={max(filters)}"
        )


def _create_model(config, path):
    try:
        return keras.saving.deserialize_keras_object(config)
    # What a config can hold has no bounds, nor have the errors that it causes.
    except Exception as error:
        reason = textwrap.shorten(str(error) or repr(error), 300, placeholder=" ...")
        raise ValueError(
            f"The model cannot be created from {CONFIG}: {reason}. Received: {path}"
        ) from error


def _load_weights(model, path):
    try:
        model.load_weights(path / WEIGHTS if path.is_dir() else path)
    # Damaged files raise errors of many classes.
    except Exception as error:
        raise ValueError(
            f"The weights cannot be loaded: {error}. Received: {path}"
        ) from error
