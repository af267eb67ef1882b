"""Pictures made into what the networks are fed with."""

from keras_ctsdg.data.edges import gray_and_edge
from keras_ctsdg.data.masks import RandomIrregularMasks

__all__ = ["RandomIrregularMasks", "gray_and_edge"]
