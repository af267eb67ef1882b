"""Reader of VGG16 weights from files, models and KerasHub's preset.

Each source comes with the value range of the images that it was trained on.
"""

import os
from pathlib import Path

import keras

from keras_ctsdg._downloads import refuse_failed_download
from keras_ctsdg.checkpoints.assign import match
from keras_ctsdg.checkpoints.name_maps import strip_wrappers, vgg16_names
from keras_ctsdg.checkpoints.torch_reader import read_torch

LAYERS = {path.rpartition("/")[0] for path in vgg16_names().values()}


def read_vgg16(source):
    """Read VGG16's weights and the input scaling that they expect.

    Args:
        source: As `weights` of `keras_ctsdg.models.VGG16Features`, except `None`.

    Returns:
        Tuple of a dict of our variables' paths and arrays, kernels as
        `[out, in, height, width]`, and the input scaling: `"as_is"`, `"caffe"` or
        `"unit"`.

    Raises:
        ValueError: If `source` is of another kind, or cannot be read.
        OSError: If the ImageNet weights cannot be downloaded.
    """
    if isinstance(source, str) and source == "imagenet":
        return _read_model(_imagenet_backbone())
    if isinstance(source, keras.Model):
        return _read_model(source)
    if not isinstance(source, (str, os.PathLike)):
        raise _unsupported_source(source)
    path = Path(source)
    reader = _READERS.get(path.suffix)
    if reader is None or not path.is_file():
        raise _unsupported_source(source)
    refuse_failed_download(path)
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

    Deeper convolutions and the classifier are skipped.

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
    """Return a state dict without the layers after VGG16's third pooling."""
    deeper = {f"features.{i}" for i in (17, 19, 21, 24, 26, 28)}
    state = strip_wrappers(state)
    return {
        name: value
        for name, value in state.items()
        if not name.startswith("classifier.") and name.rpartition(".")[0] not in deeper
    }


def _unsupported_source(source):
    return ValueError(
        '`weights` must be "imagenet", None, an existing file of torchvision (.pth) '
        "or Keras (.h5, .keras), or a Keras model of VGG16. "
        f"Received: weights={source!r}"
    )


def _imagenet_backbone():
    import keras_hub

    try:
        return keras_hub.models.VGGBackbone.from_preset("vgg_16_imagenet")
    except Exception as error:
        raise OSError(
            "The ImageNet weights of VGG16 (KerasHub preset `vgg_16_imagenet`) could "
            "not be downloaded. Connect to the internet once, pass a file such as "
            "`VGG16Features(weights='vgg16-397923af.pth')`, or train with "
            "`perceptual_network=None`. Received: weights='imagenet'"
        ) from error


# === Sources ===
# Each reader returns a state dict and the input scaling, as `read_vgg16` does.


def _read_model(model):
    """Read a model whose layers have the names of Keras, KerasHub and KerasCV."""
    module = type(model).__module__
    if hasattr(model, "input_scaling"):  # A `VGG16Features`
        scaling = model.input_scaling
    elif module.startswith("keras_hub."):
        scaling = "as_is"  # KerasHub converted torchvision's weights.
    else:
        scaling = "unit" if module.startswith("keras_cv.") else "caffe"
    state = {}
    for layer in model.layers:
        if layer.name in LAYERS and len(layer.get_weights()) == 2:
            state |= _to_source_layout(layer.name, *layer.get_weights())
    return state, scaling


def _to_source_layout(name, kernel, bias):
    # The matching reports kernels of another rank.
    if kernel.ndim == 4:
        kernel = kernel.transpose(3, 2, 0, 1)
    return {f"{name}/kernel": kernel, f"{name}/bias": bias}


def _read_torchvision(path):
    names = vgg16_names()
    state = _torchvision_features(read_torch(path))
    return {names.get(name, name): value for name, value in state.items()}, "as_is"


def _read_keras_file(path):
    """Read a `.keras` file, in Keras' safe mode, which runs no code of the file."""
    try:
        model = keras.saving.load_model(path, compile=False)
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(
            f"`weights` cannot be read: {error}. Received: weights={path}"
        ) from error
    return _read_model(model)


def _read_h5(path):
    """Read the arrays of an `.h5` file, but no model, which could hold code."""
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
            f"`weights` cannot be read: {error}. Received: weights={path}"
        ) from error
    return state, "caffe"


_READERS = {
    ".pth": _read_torchvision,
    ".pt": _read_torchvision,
    ".h5": _read_h5,
    ".hdf5": _read_h5,
    ".keras": _read_keras_file,
}
