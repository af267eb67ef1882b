"""Initial weights of the networks, which are skipped where weights will be loaded."""

import contextlib
import contextvars

import keras

# A context variable, so that other threads keep random weights.
_skipped = contextvars.ContextVar("initialization_skipped", default=False)


@contextlib.contextmanager
def skip_initialization():
    """Initialize the networks created within with zeros instead of random numbers.

    For weights that will be loaded: fifty million random numbers take time, and on
    JAX a compilation for each shape. Other threads are not affected.
    """
    token = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(token)


def random_normal(mean=0.0):
    """Return a new initializer with the paper's normal distribution.

    An initializer returns the same numbers in every call, so each weight needs its
    own.

    Args:
        mean: Float. Defaults to `0.0`.

    Returns:
        A Keras initializer: of standard deviation 0.02, or of zeros within
        `skip_initialization`.
    """
    if _skipped.get():
        return keras.initializers.Zeros()
    return keras.initializers.RandomNormal(mean, stddev=0.02)
