import keras
import numpy as np
import pytest
from keras import ops

from keras_ctsdg.layers import _conv_gradients
from keras_ctsdg.layers._conv import Conv2D, convolve
from tests.common import assert_close, gradients, to_numpy

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
@pytest.mark.parametrize("pixels", [40, _conv_gradients.PIXELS_AT_ONCE])
def test_gradients_are_the_backends(case, pixels, monkeypatch):
    monkeypatch.setattr(_conv_gradients, "PIXELS_AT_ONCE", pixels)
    size, strides, padding, dilation_rate, channels, filters = case
    rng = np.random.default_rng(0)
    x = variable(rng, 2, 14, 13, channels)
    kernel = variable(rng, size, size, channels, filters)

    def apply():
        arguments = (strides, padding, "channels_last", dilation_rate)
        return ops.conv(x.value, kernel.value, *arguments)

    upstream = ops.convert_to_tensor(rng.normal(size=apply().shape), "float32")
    expected = gradients(lambda: ops.sum(apply() * upstream), [x, kernel])
    actual = _conv_gradients.gradients_as_products(
        x.value,
        kernel.value,
        upstream,
        strides,
        padding,
        dilation_rate,
    )
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.shape == theirs.shape
        assert_close(ours, theirs, 1e-4)


def test_one_product_by_hand():
    # A window of ones over 3 x 3 pixels: what each tap saw of them.
    x = np.arange(9.0, dtype="float32").reshape(1, 3, 3, 1)
    kernel = np.ones((3, 3, 1, 1), "float32")
    of_x, of_kernel = _conv_gradients.gradients_as_products(
        *map(ops.convert_to_tensor, (x, kernel, np.ones_like(x))), 1, "same", 1
    )
    assert_close(of_x[0, :, :, 0], [[4, 6, 4], [6, 9, 6], [4, 6, 4]], 1e-6)
    assert_close(of_kernel[..., 0, 0], [[8, 15, 12], [21, 36, 27], [20, 33, 24]], 1e-6)


def big(channels=16, filters=32, size=3, length=40):
    rng = np.random.default_rng(0)
    x = variable(rng, 2, length, length, channels)
    return x, variable(rng, size, size, channels, filters)


@pytest.mark.parametrize("size, strides, padding", [(3, 1, 1), (4, 1, 1), (5, 2, 2)])
def test_convolutions_take_the_gradients_that_are_faster(
    size, strides, padding, monkeypatch
):
    x, kernel = big(size=size, length=40 * strides)
    asked = []
    original = _conv_gradients.gradients_as_products
    monkeypatch.setattr(
        _conv_gradients,
        "gradients_as_products",
        lambda *arguments: asked.append(arguments) or original(*arguments),
    )

    def objective():
        return ops.sum(ops.square(convolve(x, kernel, strides, padding)))

    taken = gradients(objective, [x, kernel])
    assert len(asked) == (keras.backend.backend() == "jax")
    monkeypatch.setattr(_conv_gradients, "CHANNELS", 1000)
    for ours, theirs in zip(taken, gradients(objective, [x, kernel]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * theirs.std())
    assert len(asked) == (keras.backend.backend() == "jax")


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
def test_others_are_left_to_the_backend(changes):
    settings = {"strides": (1, 1), "padding": "same", "dilation_rate": (1, 1)}
    arguments = settings | {k: v for k, v in changes.items() if k in settings}
    x, kernel = big(**{k: v for k, v in changes.items() if k not in settings})
    assert not _conv_gradients.prefers_products(x, kernel, **arguments)
    x, kernel = big()
    preferred = _conv_gradients.prefers_products(x, kernel, **settings)
    assert preferred == (keras.backend.backend() == "jax")


def test_half_precision_is_added_up_in_single():
    x, kernel = big(channels=16, filters=16)
    halves = [
        ops.cast(part, "bfloat16")
        for part in (x.value, kernel.value, ops.ones_like(x.value))
    ]
    of_x, of_kernel = _conv_gradients.gradients_as_products(*halves, 1, "same", 1)
    assert of_x.dtype == of_kernel.dtype == halves[0].dtype
    rounded = to_numpy(ops.cast(halves[0], "float32"))
    total = rounded.sum((0, 1, 2))
    assert_close(ops.cast(of_kernel[1, 1, :, 0], "float32"), total, 0, rtol=2**-8)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_window_of_one_pixel_is_a_product(dtype):
    layer = Conv2D(4, 1, dtype=dtype)
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype("float32")
    output = layer(x)
    reference = keras.layers.Conv2D(4, 1, dtype=dtype, data_format="channels_last")
    reference.build(x.shape)
    reference.set_weights(layer.get_weights())
    assert output.dtype == reference(x).dtype
    expected = ops.convert_to_numpy(ops.cast(reference(x), "float32"))
    assert_close(ops.cast(output, "float32"), expected, 1e-5 if "32" in dtype else 5e-2)


def test_pixels_as_channels_and_back():
    x = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    blocks = ops.space_to_depth(ops.convert_to_tensor(x), 2)
    assert blocks.shape == (2, 2, 3, 12)
    assert_close(blocks[1, 1, 2], x[1, 2:, 4:].ravel(), 0)
    assert_close(ops.depth_to_space(blocks, 2), x, 0)
