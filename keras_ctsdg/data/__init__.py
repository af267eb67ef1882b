"""Pictures made into what the networks are fed with."""

from keras_ctsdg.data.celeba import celeba
from keras_ctsdg.data.dataset import InpaintingDataset
from keras_ctsdg.data.edges import gray_and_edge
from keras_ctsdg.data.masks import RandomIrregularMasks

__all__ = ["InpaintingDataset", "RandomIrregularMasks", "celeba", "gray_and_edge"]
