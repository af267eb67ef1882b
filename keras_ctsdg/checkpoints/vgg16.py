"""Weights of VGG16 from wherever they are, each with the input it was trained on."""

import os
from pathlib import Path

import keras

from keras_ctsdg.checkpoints.assign import match
from keras_ctsdg.checkpoints.name_maps import vgg16_names
from keras_ctsdg.checkpoints.torch_reader import read_torch

LAYERS = {path.rpartition("/")[0] for path in vgg16_names().values()}


def read_vgg16(source):
    """Finds VGG16's weights and what their network expects.

    Args:
        source: What `keras_ctsdg.models.VGG16Features` takes as `weights`, but
            `None`.

    Returns:
        Tuple of a dict of our variables' paths and arrays, kernels as
        `[out, in, height, width]`, and the input scaling: `"as_is"`, `"caffe"` or
        `"unit"`.

    Raises:
        ValueError: If `source` is none of the kinds, or can't be read.
        OSError: If the ImageNet weights can't be fetched.
    """
    if isinstance(source, str) and source == "imagenet":
        return _of_model(_imagenet_backbone())
    if isinstance(source, keras.Model):
        return _of_model(source)
    if not isinstance(source, (str, os.PathLike)):
        raise _refusal(source)
    path = Path(source)
    reader = _READERS.get(path.suffix)
    if reader is None or not path.is_file():
        raise _refusal(source)
    return reader(path)


def match_vgg16(vgg, state):
    """Find the variable of each array that `read_vgg16` returned.

    Args:
        vgg: A `keras_ctsdg.models.VGG16Features`.
        state: Dict, as `read_vgg16` returns it.

    Returns:
        List of pairs (variable, array), for `assign_weights`.

    Raises:
        ValueError: If tensors are missing, unexpected or of another shape; all are
            listed.
    """
    return match(vgg, state, {path: path for path in vgg16_names().values()}, "weights")


def match_torchvision_vgg16(vgg, state):
    """Find the variable of each of torchvision's tensors.

    Args:
        vgg: A `keras_ctsdg.models.VGG16Features`.
        state: Dict of torchvision's names and arrays.

    Returns:
        List of pairs (variable, array), for `assign_weights`.

    Raises:
        ValueError: If tensors are missing, unexpected or of another shape; all are
            listed.
    """
    return match(vgg, _torchvision_features(state), vgg16_names(), "state")


def _torchvision_features(state):
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


def _refusal(source):
    return ValueError(
        '`weights` must be "imagenet", None, a file that exists of torchvision\'s '
        "(.pth) or of Keras' (.h5, .keras), or a Keras model of VGG16. "
        f"Received: weights={source!r}"
    )


def _imagenet_backbone():
    import keras_hub

    try:
        return keras_hub.models.VGGBackbone.from_preset("vgg_16_imagenet")
    except Exception as error:
        raise OSError(
            "The ImageNet weights of VGG16 could not be fetched (KerasHub preset "
            "`vgg_16_imagenet`). Three ways out: connect this machine once; pass a "
            "file, `VGG16Features(weights='vgg16-397923af.pth')`; or train with "
            "`perceptual_network=None`. Received: weights='imagenet'"
        ) from error


# === Kinds of sources ===


def _of_model(model):
    """A model that names its layers as Keras, KerasHub and KerasCV do."""
    module = type(model).__module__
    if hasattr(model, "input_scaling"):  # A `VGG16Features`
        scaling = model.input_scaling
    elif module.startswith("keras_hub."):
        scaling = "as_is"  # A conversion of torchvision's.
    else:
        scaling = "unit" if module.startswith("keras_cv.") else "caffe"
    state = {}
    for layer in model.layers:
        if layer.name in LAYERS and len(layer.get_weights()) == 2:
            state |= _of_layer(layer.name, *layer.get_weights())
    return state, scaling


def _of_layer(name, kernel, bias):
    if kernel.ndim == 4:
        kernel = kernel.transpose(3, 2, 0, 1)
    return {f"{name}/kernel": kernel, f"{name}/bias": bias}


def _of_torchvision(path):
    names = vgg16_names()
    state = _torchvision_features(read_torch(path))
    return {names.get(name, name): value for name, value in state.items()}, "as_is"


def _of_keras(path):
    """Keras' safe mode lets the file bring no code."""
    try:
        model = keras.saving.load_model(path, compile=False)
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(
            f"`weights` can't be read: {error}. Received: weights={path}"
        ) from error
    return _of_model(model)


def _of_h5(path):
    """Numbers alone: a model in such a file may hold code, which is not looked at."""
    import h5py

    state = {}

    def collect(name, item):
        if not isinstance(item, h5py.Dataset) or item.ndim not in (1, 4):
            return
        layers = [part for part in name.split("/") if part in LAYERS]
        if not layers:  # Keras 3 counts groups, and notes the layer's name beside.
            layers = [item.parent.attrs.get("name")]
        if layers[0] in LAYERS:
            kind = "kernel" if item.ndim == 4 else "bias"
            array = item[()]
            array = array.transpose(3, 2, 0, 1) if kind == "kernel" else array
            state[f"{layers[0]}/{kind}"] = array

    try:
        with h5py.File(path, "r") as file:
            file.visititems(collect)
    except OSError as error:
        raise ValueError(
            f"`weights` can't be read: {error}. Received: weights={path}"
        ) from error
    return state, "caffe"


_READERS = {
    ".pth": _of_torchvision,
    ".pt": _of_torchvision,
    ".h5": _of_h5,
    ".hdf5": _of_h5,
    ".keras": _of_keras,
}
