"""Run a user's augmentation with random numbers that belong to a sample."""

import inspect

import keras
import numpy as np

LEVELS = 255


def as_seeded_augment(augment, use_multiprocessing=False):
    """Return an augmentation of any kind as a callable of `(image, rng)`.

    Args:
        augment: Keras layer, or callable of `image` or of `(image, rng)`.
        use_multiprocessing: Bool, whether worker processes call it. Defaults to
            `False`.

    Returns:
        Callable of a float32 array `[H, W, 3]` in [0, 255] and of a
        `numpy.random.Generator`; it returns such an array.

    Raises:
        ValueError: If `augment` is not callable, or is a Keras layer that worker
            processes would call on JAX.
    """
    if isinstance(augment, keras.layers.Layer):
        if use_multiprocessing and keras.backend.backend() == "jax":
            # JAX would wait forever for threads that do not exist after a fork.
            raise ValueError(
                "A Keras layer as `augment` cannot run in worker processes on JAX; "
                f"use threads. Received: augment={augment}, use_multiprocessing=True"
            )
        return _SeededLayer(augment)
    if not callable(augment):
        raise ValueError(
            "`augment` must be a Keras layer or a callable. "
            f"Received: augment={augment!r}"
        )
    return augment if _takes_rng(augment) else _IgnoreRng(augment)


def apply_augment(augment, image, rng):
    """Augment an image and check the result.

    Args:
        augment: Callable, as `as_seeded_augment` returns it.
        image: Float32 array `[H, W, 3]` in [0, 255].
        rng: `numpy.random.Generator`.

    Returns:
        Float32 array of the same shape. What exceeds [0, 255] by at most 255, as
        noise and contrast do, is clipped.

    Raises:
        ValueError: If `augment` changes the shape or the range, or returns NaN.
    """
    result = np.asarray(augment(image, rng), "float32")
    if result.shape != image.shape:
        raise ValueError(
            f"`augment` must return an image of the same shape, {image.shape}. "
            f"Received: {result.shape}"
        )
    low, high = result.min(), result.max()
    # Comparisons with NaN are false.
    is_usable = low >= -LEVELS and high <= 2 * LEVELS
    if not is_usable or _is_scaled(result, image):
        raise ValueError(
            "`augment` must return an image in [0, 255], without NaN. "
            f"Received: values from {low:g} to {high:g}, for an image with values "
            f"from {image.min():g} to {image.max():g}"
        )
    return np.clip(result, 0, LEVELS)


def _is_scaled(result, image):
    """Whether an image of levels has become one in [-1, 1] or [0, 1]."""
    is_small = np.abs(result).max() <= 1 < image.max()
    return is_small and (result != np.rint(result)).any()


def _takes_rng(function):
    """Whether a callable requires two arguments or has one named `rng`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # Some compiled functions have no signature.
        return False
    required = [
        p for p in parameters if p.default is p.empty and p.kind < p.VAR_POSITIONAL
    ]
    return len(required) > 1 or any(p.name == "rng" for p in parameters)


class _IgnoreRng:
    def __init__(self, augment):
        self.augment = augment

    def __call__(self, image, rng):
        return self.augment(image)


class _SeededLayer:
    """A layer or a model whose seed generators are set before each call."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, image, rng):
        seeds = [v for v in self.layer.variables if "seed_generator" in v.path]
        # Threads share the layer, so that each call sets the seeds in its own scope.
        mapping = [(v, self._random_seed(v, rng)) for v in seeds]
        with keras.StatelessScope(state_mapping=mapping):
            result = self.layer(keras.ops.convert_to_tensor(image), training=True)
        return keras.ops.convert_to_numpy(result)

    def _random_seed(self, variable, rng):
        seed = rng.integers(0, 2**31, variable.shape, dtype="int64")
        return keras.ops.convert_to_tensor(seed.astype(variable.dtype))
