"""Options that decide a training, and whether a resumed one would be another."""

import hashlib
import json
import warnings
from importlib.metadata import PackageNotFoundError, version

import keras

from keras_ctsdg.data import InpaintingDataset

START_OF_FINE_TUNING = "FineTuning.start_epoch"
BACKEND_PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
OPTIMIZERS = ("generator_optimizer", "discriminator_optimizer")


def describe_training(model, dataset, options):
    """Return what decides a training, by name.

    Args:
        model: A `keras_ctsdg.CTSDG` as it was compiled, before it is trained.
        dataset: The data set of `fit`.
        options: Dict of the options of a script or a command.

    Returns:
        Dict of JSON's types.
    """
    described = {**options, **_describe_model(model)}
    if isinstance(dataset, InpaintingDataset):
        described |= describe_dataset(dataset)
    return json.loads(json.dumps(described, default=str))


def describe_dataset(dataset):
    """Return what decides the samples of an `InpaintingDataset`, by name.

    Folders may have other names on another machine, so images are told by the names
    that they have in them.

    Args:
        dataset: An `InpaintingDataset`.

    Returns:
        Dict of JSON's types.
    """
    names = (
        "batch_size image_size edges sigma shuffle crop horizontal_flip "
        "steps_per_epoch drop_remainder seed"
    ).split()
    described = {name: getattr(dataset, name) for name in names}
    # Each of the processes that train together has a shard of its own.
    described["shards"] = dataset.shard[1]
    described["augment"] = _name_of(dataset.augment)
    described["images"] = _describe_files(dataset.images)
    files = getattr(dataset.masks, "files", None)
    if files is not None:
        described["masks"] = _describe_files(files)
    else:
        ratio = getattr(dataset.masks, "mask_ratio", None)
        described["masks"] = f"random, ratio={ratio}, seed={dataset.masks.seed}"
    return {f"dataset.{name}": value for name, value in described.items()}


def find_changes(old, new, epoch):
    """Return the options whose values differ, and matter.

    Args:
        old, new: Dicts that `describe_training` returned.
        epoch: Int, the epoch under way.

    Returns:
        Dict of names and tuples of the old and the new value. Options that one of the
        dicts lacks are left out, since another version or script may have named them.
    """
    changes = {
        name: (value, new[name])
        for name, value in old.items()
        if name in new and new[name] != value
    }
    start = changes.get(START_OF_FINE_TUNING)
    # Both trainings are the same up to the earlier of the two stage borders.
    if start is not None and min(start) > epoch:
        del changes[START_OF_FINE_TUNING]
    return changes


def describe_changes(changes):
    """Return a str that names changed options with their old and new values."""
    # What a user named says it all; the rest follows from it.
    named = {name: x for name, x in changes.items() if name.startswith("--")}
    return "; ".join(
        f"{name} was {old} and is {new}"
        for name, (old, new) in sorted((named or changes).items())
    )


def describe_versions():
    """Return the versions of this package, of Keras and of the backend, by name."""
    backend = keras.backend.backend()
    names = ("keras-ctsdg", "keras", BACKEND_PACKAGES[backend])
    return {"backend": backend, **{name: _find_version(name) for name in names}}


def compiled_options(model):
    """Return what the optimizers and losses of a model just compiled are, by name.

    Args:
        model: A `keras_ctsdg.CTSDG`.

    Returns:
        Dict of JSON's types.
    """
    described = {f"loss_weights.{k}": v for k, v in model.loss_weights.items()}
    described["perceptual_network"] = _name_of(model.perceptual_network)
    for role in OPTIMIZERS:
        optimizer = getattr(model, role)
        described[role] = type(optimizer).__name__
        with warnings.catch_warnings():
            # On PyTorch, Keras reads the learning rate in a way that NumPy deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            # `serialize_keras_object` would load TensorFlow.
            config = optimizer.get_config()
        for name, value in config.items():
            described[f"{role}.{name}"] = value
    return described


def _describe_model(model):
    described = dict(model.compiled_options)
    described["dtype"] = model.generator.dtype_policy.name
    for name in ("edges", "sigma"):
        described[name] = getattr(model, name)
    for role in ("generator", "discriminator"):
        described[f"{role}.filters"] = getattr(model, role).filters
    described["generator.upsampling"] = model.generator.upsampling
    return described


def _describe_files(files):
    names = [str(source.path or source.name) for source in files.sources]
    digest = hashlib.sha256("\0".join(names).encode(errors="replace")).hexdigest()
    return f"{len(names)} files, names {digest[:12]}"


def _name_of(value):
    if value is None:
        return None
    return getattr(value, "__name__", type(value).__name__)


def _find_version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
