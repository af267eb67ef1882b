"""Models by name: what `from_preset` finds, and what there is to find."""

import os
from pathlib import Path

import keras

from keras_ctsdg.models._initializers import blank
from keras_ctsdg.presets.files import (
    CONFIG,
    METADATA,
    RECORD,
    WEIGHTS,
    about_parameters,
    is_name,
    is_preset,
    preset_folder,
    read_text,
    weights_size,
)

# Weights that others published. This package hosts none: each is converted once.
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
CLASSES = {
    "": "keras_ctsdg>CTSDG",
    "generator": "keras_ctsdg>Generator",
    "discriminator": "keras_ctsdg>Discriminator",
}


def from_preset(preset, dtype=None, load_weights=True, with_discriminator=True):
    """Loads a model by the name of a preset, from a folder, a file or a hub.

    The model is not compiled: it fills pictures as it is, and trains after
    `compile`. `keras.saving.load_model` goes on with a `.keras` file's training.

    Args:
        preset: Str, one of

            - a name, such as `"celeba"`: see `keras_ctsdg.list_presets`;
            - the path of a preset's folder, or of a `.keras` file of a
              `keras_ctsdg.CTSDG` (a path too);
            - `"hf://owner/name"`, on the Hugging Face hub;
            - `"kaggle://owner/model/keras/variation"`, on Kaggle.
        dtype: Str or `keras.DTypePolicy`, such as `"mixed_bfloat16"`, for both
            networks. Defaults to what the preset was saved with.
        load_weights: Bool. `False` gives the architecture with random weights.
            Defaults to `True`.
        with_discriminator: Bool. `False` leaves it out, for filling pictures
            alone. A preset may come without one too. Defaults to `True`.

    Returns:
        A `keras_ctsdg.CTSDG`.

    Raises:
        FileNotFoundError: If the preset is published but not installed here.
        ValueError: If there is no such preset, or it holds anything else.
        OSError: If a hub can't be reached.

    Example:

    ```python
    model = keras_ctsdg.from_preset("celeba")
    model = keras_ctsdg.from_preset("trained/model.keras", dtype="mixed_bfloat16")
    ```
    """
    path = _locate(preset)
    config = read_text(path, CONFIG)
    _check_config(config, path)
    # Neither optimizers nor a perceptual network: their numbers stay on the disk.
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
        return _restore(config, path)
    with blank():
        model = _restore(config, path)
    _load_weights(model, path)
    return model


def list_presets():
    """The presets that are published or installed.

    Returns:
        Dict of names, each a dict of `description`, `parameters` (int), `size`
        (bytes on the disk, or of 32-bit weights if it is not installed), `license`
        (str, or `None` if not known), `installed` (bool), `path` (of its folder)
        and `published` (dict: who, where).

    Example:

    >>> keras_ctsdg.list_presets()["celeba"]["installed"]
    False
    """
    home = preset_folder("any").parent
    installed = [path.name for path in sorted(home.glob("*")) if is_preset(path)]
    return {name: _describe(name) for name in [*PUBLISHED, *installed] if is_name(name)}


def _describe(name):
    folder = preset_folder(name)
    known = PUBLISHED.get(name, {})
    entry = {
        "description": known.get("description", "Converted or saved here"),
        "parameters": known.get("parameters"),
        "size": 4 * known.get("parameters", 0),
        "license": known.get("license"),
        "installed": is_preset(folder),
        "path": str(folder),
        "published": dict(known.get("published", {})),
    }
    if entry["installed"]:
        record = read_text(folder, METADATA).get(RECORD, {})
        entry["size"] = weights_size(folder)
        entry["parameters"] = sum(record.get("parameters", {}).values())
    return entry


# === Places ===


def _locate(preset):
    """The folder or the `.keras` file that a preset stands for."""
    if isinstance(preset, str) and preset.startswith(HUBS):
        return _check_files(_download(preset), preset)
    if not isinstance(preset, (str, os.PathLike)):
        raise ValueError(
            "`preset` must be a name, a path or a handle of a hub. "
            f"Received: preset={preset!r} of type {type(preset).__name__}"
        )
    if is_name(preset):
        if is_preset(preset_folder(preset)):
            return preset_folder(preset)
        if not Path(preset).exists():
            raise _not_installed(preset)
    return _check_files(Path(preset), preset)


def _check_files(path, preset):
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
        "`preset` must be a preset's name, its folder, a `.keras` file that exists, "
        f"or start with {' or '.join(HUBS)}. Received: preset={preset}"
    )


def _not_installed(name):
    if name not in PUBLISHED:
        return ValueError(
            f"There is no preset of that name; known are {list(list_presets())}. "
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
    """The folder to which a hub's own client brings a preset."""
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
    # Each client has errors of its own for what a network can do.
    except Exception as error:
        raise OSError(
            f"The preset could not be fetched: {error}. Received: preset={preset}"
        ) from error


# === Contents ===


def _networks(config):
    """The configs of the networks that are there."""
    parts = ("generator", "discriminator")
    found = {part: config["config"].get(part) for part in parts}
    return {part: network for part, network in found.items() if network is not None}


def _check_config(config, path):
    """Checks that a config is of a `CTSDG` that its weights can fill.

    What else it says Keras checks, whose safe mode lets no file bring code.
    """
    try:
        names = {"": config["registered_name"]}
        for part, network in _networks(config).items():
            names[part] = network["registered_name"]
        filters = [n["config"]["filters"] for n in _networks(config).values()]
        wrong = [part for part, name in names.items() if name != CLASSES[part]]
    except (AttributeError, KeyError, TypeError) as error:
        wrong = [repr(error)]
    if wrong or "generator" not in names:
        raise ValueError(
            f"A preset must hold a keras_ctsdg.CTSDG. Received: {path}, {CONFIG} of "
            f"{config.get('registered_name') or config.get('class_name')!r}"
        )
    # Memory is taken by what the config says; so much must be on the disk.
    if weights_size(path) < about_parameters(max(filters)):
        raise ValueError(
            f"The weights must be as large as the network. Received: {path}, "
            f"{weights_size(path)} bytes for filters={max(filters)}"
        )


def _restore(config, path):
    try:
        return keras.saving.deserialize_keras_object(config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"The model can't be made of {CONFIG}: {error}. Received: {path}"
        ) from error


def _load_weights(model, path):
    try:
        model.load_weights(path / WEIGHTS if path.is_dir() else path)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(
            f"The weights can't be loaded: {error}. Received: {path}"
        ) from error
