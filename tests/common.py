"""Batches, conversions and assertions that most tests use."""

import inspect
import weakref

import keras
import numpy as np
import pytest

NETWORK_INPUTS = ("image", "gray", "edge", "mask")
# TensorFlow takes 20 seconds to trace a training step, and 3 to run one eagerly.
# Tests that are not about tracing say `run_eagerly=EAGER_ON_TENSORFLOW`.
EAGER_ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def slow_if(condition):
    """Return a decorator that marks a test as slow, or leaves it as it is."""
    return pytest.mark.slow if condition else lambda test: test


def random_batch(size=1, height=128, width=128, seed=0):
    """Return a batch of noise with a square hole, as the networks take it."""
    rng = np.random.default_rng(seed)
    shape = (size, height, width)
    mask = np.zeros((*shape, 1), "float32")
    mask[:, height // 4 : height // 2, width // 4 : width // 2] = 1.0
    return {
        "image": rng.uniform(-1, 1, (*shape, 3)).astype("float32"),
        "gray": rng.uniform(0, 1, (*shape, 1)).astype("float32"),
        "edge": (rng.random((*shape, 1)) < 0.1).astype("float32"),
        "mask": mask,
    }


def call_compiled(function, *arguments):
    """Call a function of arrays, on JAX as one compiled program.

    Eagerly, JAX would compile a program for each operation. The function must not
    create or update variables.
    """
    if keras.backend.backend() == "jax":
        import jax

        function = jax.jit(function)
    return function(*arguments)


def to_numpy(structure):
    """Convert the tensors of a nested structure to arrays."""
    return keras.tree.map_structure(keras.ops.convert_to_numpy, structure)


def optimizer_slots(model):
    """Return the variables of both optimizers of a model as arrays."""
    optimizers = model.generator_optimizer, model.discriminator_optimizer
    return [to_numpy(v.value) for optimizer in optimizers for v in optimizer.variables]


def assert_close(actual, expected, atol, rtol=0.0):
    """Assert that a tensor or an array has the expected values."""
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(actual), expected, atol=atol, rtol=rtol
    )


def assert_signature_is_config(layer):
    """Assert that constructor arguments and keys of `get_config` are the same."""
    parameters = inspect.signature(type(layer).__init__).parameters.values()
    own = {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD} - {"self"}
    inherited = set(keras.layers.Layer().get_config())
    assert own - inherited == set(layer.get_config()) - inherited


def reference_scores(target, image):
    """Compute metrics with scikit-image, with the settings of the published tables.

    Args:
        target: Array `[H, W, C]` in [0, 1].
        image: Array of the same shape, in [0, 1].

    Returns:
        Dict of `psnr` in dB, `ssim` and `mae`.
    """
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    target, image = target.astype("float64"), image.astype("float64")
    return {
        "psnr": peak_signal_noise_ratio(target, image, data_range=1),
        "ssim": structural_similarity(
            target,
            image,
            data_range=1,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        ),
        "mae": np.abs(target - image).mean(),
    }


def make_feature_counter():
    """Return a layer class whose calls count the earlier outputs that are alive.

    Returns:
        Tuple of the class, the list of weak references to all outputs, and the list
        of the counts, one per call.
    """
    references, num_alive = [], []

    class CountFeatures(keras.layers.Layer):
        def call(self, inputs):
            num_alive.append(sum(reference() is not None for reference in references))
            output = inputs + 1.0
            references.append(weakref.ref(output))
            return output

    return CountFeatures, references, num_alive
