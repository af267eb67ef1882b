"""Tensor operations that several layers share."""

import functools

from keras import ops


def zero_pad(x, width):
    """Pad a feature map `[B, H, W, C]` with `width` zeros on every side."""
    return ops.pad(x, ((0, 0), (width, width), (width, width), (0, 0)))


def add_up(tensors):
    """Return the sum of an iterable of tensors, which must not be empty.

    Unlike `sum`, this does not start from 0, which would cost one more pass over
    memory on backends that do not fuse operations.
    """
    return functools.reduce(ops.add, tensors)
