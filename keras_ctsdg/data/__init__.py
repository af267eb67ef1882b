"""Read images and masks from disk and batch them as the networks take them."""

from keras_ctsdg.data.celeba import Split, celeba
from keras_ctsdg.data.crop import Crop
from keras_ctsdg.data.dataset import InpaintingDataset, OnError
from keras_ctsdg.data.edges import gray_and_edge
from keras_ctsdg.data.masks import RandomIrregularMasks

__all__ = [
    "Crop",
    "InpaintingDataset",
    "OnError",
    "RandomIrregularMasks",
    "Split",
    "celeba",
    "gray_and_edge",
]
