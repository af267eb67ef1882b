"""CTSDG for Keras 3: image inpainting by texture and structure, on any backend."""

from importlib.metadata import version

from keras_ctsdg import callbacks, convert, data, layers, losses, metrics, models
from keras_ctsdg.training import CTSDG

__version__ = version("keras-ctsdg")

__all__ = [
    "CTSDG",
    "callbacks",
    "convert",
    "data",
    "layers",
    "losses",
    "metrics",
    "models",
]
