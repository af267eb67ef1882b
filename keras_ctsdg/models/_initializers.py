"""Initial weights of the networks, which are skipped where weights will be loaded."""

import contextlib
import contextvars

import keras
import numpy as np

# A context variable, so that other threads keep random weights.
_skipped = contextvars.ContextVar("initialization_skipped", default=False)


@contextlib.contextmanager
def skip_initialization():
    """Initialize the networks created within with zeros instead of random numbers.

    For weights that will be loaded: fifty million random numbers take time. Other
    threads are not affected.
    """
    token = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(token)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class NumPyNormal(keras.initializers.RandomNormal):
    """Random normal initializer that gives the same numbers on every backend.

    JAX compiles a program for each shape of Keras' own random numbers: half a minute
    for the shapes of both networks.
    """

    def __call__(self, shape, dtype=None):
        numbers = np.random.default_rng(self.seed).standard_normal(shape, "float32")
        numbers *= self.stddev
        numbers += self.mean
        return keras.ops.convert_to_tensor(numbers, dtype)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class NumPyUniform(keras.initializers.RandomUniform):
    """Random uniform initializer that gives the same numbers on every backend."""

    def __call__(self, shape, dtype=None):
        rng = np.random.default_rng(self.seed)
        numbers = rng.uniform(self.minval, self.maxval, shape)
        return keras.ops.convert_to_tensor(numbers, dtype)


def random_normal(mean=0.0, stddev=0.02):
    """Return a new initializer with the paper's normal distribution.

    An initializer returns the same numbers in every call, so each weight needs its
    own.

    Args:
        mean: Float. Defaults to `0.0`.
        stddev: Float. Defaults to `0.02`.

    Returns:
        A Keras initializer: of normal numbers, or of zeros within
        `skip_initialization`.
    """
    if _skipped.get():
        return keras.initializers.Zeros()
    return NumPyNormal(mean, stddev)
