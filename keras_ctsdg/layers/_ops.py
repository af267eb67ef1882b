"""Tensor operations that several layers share."""

import functools

from keras import ops


def zero_pad(x, width):
    """Pad a feature map `[B, H, W, C]` with `width` zeros on every side."""
    return ops.pad(x, ((0, 0), (width, width), (width, width), (0, 0)))


def add_up(tensors):
    """Sum tensors, of which there is at least one.

    Unlike `sum`, this does not start from 0, which costs one more pass over memory
    where nothing is fused.
    """
    return functools.reduce(ops.add, tensors)
