"""The numbers that networks start with, or none where weights will be loaded."""

import contextlib

import keras

_blank = False


@contextlib.contextmanager
def blank():
    """Networks that are made within hold zeros, for weights that will be loaded.

    Fifty million random numbers take time, and on JAX a compilation a shape.
    """
    global _blank
    before, _blank = _blank, True
    try:
        yield
    finally:
        _blank = before


def random_normal(mean=0.0):
    """The paper's initializer: a new one each time, for it gives its numbers again."""
    if _blank:
        return keras.initializers.Zeros()
    return keras.initializers.RandomNormal(mean, stddev=0.02)
