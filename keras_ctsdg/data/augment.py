"""A user's augmentation, whose random numbers belong to a picture's place."""

import inspect

import keras
import numpy as np


def with_rng(augment, in_processes=False):
    """An augmentation of any kind as a callable of `(picture, rng)`.

    Args:
        augment: Keras layer, or callable of `picture` or of `(picture, rng)`.
        in_processes: Bool, whether worker processes call it. Defaults to `False`.

    Returns:
        Callable of a float32 array `[H, W, 3]` in [0, 255] and of a
        `numpy.random.Generator`; it returns such an array.

    Raises:
        ValueError: If `augment` can't be called, or not in a process.
    """
    if isinstance(augment, keras.layers.Layer):
        if in_processes and keras.backend.backend() == "jax":
            # It would wait for threads that a fork leaves behind.
            raise ValueError(
                "A Keras layer as `augment` runs on JAX in threads alone. Received: "
                f"augment={augment}, use_multiprocessing=True"
            )
        return _LayerWithRng(augment)
    if not callable(augment):
        raise ValueError(
            "`augment` must be a Keras layer or a callable. "
            f"Received: augment={augment!r}"
        )
    try:
        parameters = inspect.signature(augment).parameters.values()
    except ValueError:  # Of some compiled functions nothing is known.
        parameters = ()
    wanted = [
        p for p in parameters if p.default is p.empty and p.kind < p.VAR_POSITIONAL
    ]
    takes_rng = len(wanted) > 1 or any(p.name == "rng" for p in parameters)
    return augment if takes_rng else _WithoutRng(augment)


def call_augment(augment, picture, rng):
    """What `with_rng(...)` makes of a picture, within its shape and range."""
    result = np.asarray(augment(picture, rng), "float32")
    if result.shape != picture.shape:
        raise ValueError(
            "`augment` must return a picture of the shape it was given, "
            f"{picture.shape}. Received: {result.shape}"
        )
    return np.clip(result, 0, 255)


class _WithoutRng:
    def __init__(self, augment):
        self.augment = augment

    def __call__(self, picture, rng):
        return self.augment(picture)


class _LayerWithRng:
    """A layer, or a model of layers, whose seeds are set before each call."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, picture, rng):
        seeds = [v for v in self.layer.variables if "seed_generator" in v.path]
        # In a scope of its own: threads share the layer, but not the scope.
        mapping = [(v, self._seed(v, rng)) for v in seeds]
        with keras.StatelessScope(state_mapping=mapping):
            result = self.layer(keras.ops.convert_to_tensor(picture), training=True)
        return keras.ops.convert_to_numpy(result)

    def _seed(self, variable, rng):
        seed = rng.integers(0, 2**31, variable.shape, dtype="int64")
        return keras.ops.convert_to_tensor(seed.astype(variable.dtype))
