import keras
import numpy as np
import pytest
from keras import ops

from keras_ctsdg.layers import _conv_gradients
from keras_ctsdg.layers._conv import Conv2D, convolve
from tests.common import assert_close, to_numpy
from tests.gradients import compute_gradients

CASES = [
    # size, strides, padding, dilation_rate, channels, filters
    (3, 1, "same", 1, 5, 3),
    (3, 1, "same", 1, 3, 5),
    (3, 1, "same", 4, 3, 5),
    (3, 1, "valid", 2, 5, 3),
    (4, 1, "valid", 1, 3, 5),
    (4, 2, "valid", 1, 5, 3),
    (3, 2, "valid", 1, 3, 5),
    (5, 2, "valid", 1, 3, 5),
    (3, 3, "valid", 1, 5, 3),
    (2, 3, "valid", 1, 3, 5),
]


def variable(rng, *shape):
    return keras.Variable(rng.normal(size=shape), dtype="float32")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("pixels", [40, _conv_gradients.PIXELS_PER_BLOCK])
def test_gradients_equal_the_backends(case, pixels, monkeypatch):
    monkeypatch.setattr(_conv_gradients, "PIXELS_PER_BLOCK", pixels)
    size, strides, padding, dilation_rate, channels, filters = case
    rng = np.random.default_rng(0)
    x = variable(rng, 2, 14, 13, channels)
    kernel = variable(rng, size, size, channels, filters)

    def apply():
        arguments = (strides, padding, "channels_last", dilation_rate)
        return ops.conv(x.value, kernel.value, *arguments)

    upstream = ops.convert_to_tensor(rng.normal(size=apply().shape), "float32")
    expected = compute_gradients(lambda: ops.sum(apply() * upstream), [x, kernel])
    actual = _conv_gradients.gradients_as_products(
        x.value,
        kernel.value,
        upstream,
        strides,
        padding,
        dilation_rate,
    )
    for x, y in zip(actual, expected, strict=True):
        assert x.shape == y.shape
        assert_close(x, y, 1e-4)


def test_by_hand():
    # The kernel's gradient holds the sum of the pixels that each tap covers.
    x = np.arange(9.0, dtype="float32").reshape(1, 3, 3, 1)
    kernel = np.ones((3, 3, 1, 1), "float32")
    x_gradient, kernel_gradient = _conv_gradients.gradients_as_products(
        *map(ops.convert_to_tensor, (x, kernel, np.ones_like(x))), 1, "same", 1
    )
    expected = [[4, 6, 4], [6, 9, 6], [4, 6, 4]]
    assert_close(x_gradient[0, :, :, 0], expected, 1e-6)
    expected = [[8, 15, 12], [21, 36, 27], [20, 33, 24]]
    assert_close(kernel_gradient[..., 0, 0], expected, 1e-6)


def large_operands(channels=16, filters=32, size=3, length=40):
    rng = np.random.default_rng(0)
    x = variable(rng, 2, length, length, channels)
    return x, variable(rng, size, size, channels, filters)


@pytest.mark.parametrize("size, strides, padding", [(3, 1, 1), (4, 1, 1), (5, 2, 2)])
def test_convolutions_use_products_on_jax_only(size, strides, padding, monkeypatch):
    x, kernel = large_operands(size=size, length=40 * strides)
    calls = []
    original = _conv_gradients.gradients_as_products
    monkeypatch.setattr(
        _conv_gradients,
        "gradients_as_products",
        lambda *arguments: calls.append(arguments) or original(*arguments),
    )

    def objective():
        return ops.sum(ops.square(convolve(x, kernel, strides, padding)))

    actual = compute_gradients(objective, [x, kernel])
    assert len(calls) == (keras.backend.backend() == "jax")
    monkeypatch.setattr(_conv_gradients, "MIN_CHANNELS", 1000)
    expected = compute_gradients(objective, [x, kernel])
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * b.std())
    assert len(calls) == (keras.backend.backend() == "jax")


@pytest.mark.parametrize(
    "changes",
    [
        {"filters": 8},
        {"size": 1},
        {"length": 20},
        {"strides": (2, 2)},
        {"strides": (1, 2), "padding": "valid"},
        {"dilation_rate": (1, 2)},
        {"size": 4},
    ],
)
def test_other_convolutions_use_the_backends_gradients(changes):
    settings = {"strides": (1, 1), "padding": "same", "dilation_rate": (1, 1)}
    arguments = settings | {k: v for k, v in changes.items() if k in settings}
    x, kernel = large_operands(
        **{k: v for k, v in changes.items() if k not in settings}
    )
    assert not _conv_gradients.prefers_products(x, kernel, **arguments)
    x, kernel = large_operands()
    preferred = _conv_gradients.prefers_products(x, kernel, **settings)
    assert preferred == (keras.backend.backend() == "jax")


def test_half_precision_is_summed_in_float32():
    x, kernel = large_operands(channels=16, filters=16)
    halves = [
        ops.cast(part, "bfloat16")
        for part in (x.value, kernel.value, ops.ones_like(x.value))
    ]
    x_gradient, kernel_gradient = _conv_gradients.gradients_as_products(
        *halves, 1, "same", 1
    )
    assert x_gradient.dtype == kernel_gradient.dtype == halves[0].dtype
    rounded = to_numpy(ops.cast(halves[0], "float32"))
    total = rounded.sum((0, 1, 2))
    center = ops.cast(kernel_gradient[1, 1, :, 0], "float32")
    assert_close(center, total, 0, rtol=2**-8)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_window_of_one_pixel_equals_keras(dtype):
    layer = Conv2D(4, 1, dtype=dtype)
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype("float32")
    output = layer(x)
    reference = keras.layers.Conv2D(4, 1, dtype=dtype, data_format="channels_last")
    reference.build(x.shape)
    reference.set_weights(layer.get_weights())
    assert output.dtype == reference(x).dtype
    expected = ops.convert_to_numpy(ops.cast(reference(x), "float32"))
    assert_close(ops.cast(output, "float32"), expected, 1e-5 if "32" in dtype else 5e-2)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_kernel_folds_and_unfolds(size):
    rng = np.random.default_rng(0)
    kernel = ops.convert_to_tensor(rng.normal(size=(size, size, 3, 4)), "float32")
    folded = _conv_gradients._fold_kernel(kernel, 2)
    assert tuple(folded.shape) == (-(-size // 2), -(-size // 2), 12, 4)
    # Channels are ordered by the row in a block, the column, and the old channel.
    expected = ops.convert_to_numpy(kernel)[:2, :2].reshape(12, 4)
    assert_close(folded[0, 0], expected, 0)
    unfolded = _conv_gradients._unfold_kernel(folded, kernel.shape, 2)
    assert_close(unfolded, ops.convert_to_numpy(kernel), 0)
