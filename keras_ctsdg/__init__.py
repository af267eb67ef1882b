"""CTSDG for Keras 3: image inpainting by texture and structure, on any backend."""

from importlib.metadata import version

from keras_ctsdg import convert, data, inpainting, layers, losses, metrics, models
from keras_ctsdg.ctsdg import CTSDG
from keras_ctsdg.presets import from_preset, list_presets, upload_preset
from keras_ctsdg.training import callbacks

__version__ = version("keras-ctsdg")

__all__ = [
    "CTSDG",
    "callbacks",
    "convert",
    "data",
    "from_preset",
    "inpainting",
    "layers",
    "list_presets",
    "losses",
    "metrics",
    "models",
    "upload_preset",
]
