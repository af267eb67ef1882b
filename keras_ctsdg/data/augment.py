"""A user's augmentation, whose random numbers belong to a picture's place."""

import inspect

import keras


def with_rng(augment):
    """An augmentation of any kind as a callable of `(picture, rng)`.

    Args:
        augment: Keras layer, or callable of `picture` or of `(picture, rng)`.

    Returns:
        Callable of a float32 array `[H, W, 3]` in [0, 255] and of a
        `numpy.random.Generator`; it returns such an array.

    Raises:
        ValueError: If `augment` can't be called.
    """
    if isinstance(augment, keras.layers.Layer):
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
