import keras
import numpy as np
import pytest

from keras_ctsdg.layers import SpectralConv2D
from tests._keras_private import TestCase
from tests.common import assert_close, assert_signature_is_config
from tests.golden_files import read_golden_layer
from tests.gradients import assert_gradients_reach, compute_gradients


class SpectralConv2DConformance(TestCase):
    def test_layer(self):
        self.run_layer_test(
            SpectralConv2D,
            init_kwargs={"filters": 4, "kernel_size": 4, "strides": 2, "padding": 1},
            input_shape=(2, 8, 7, 3),
            expected_output_shape=(2, 4, 3, 4),
            expected_num_trainable_weights=1,
            expected_num_non_trainable_weights=2,
        )


def golden_numbers_and_layer():
    """Return the golden numbers and a layer in the state before their first call.

    The file has u and v after each call. The initial u follows from the v of the first
    call, which is W'u scaled to unit length, because W has full row rank.
    """
    numbers = read_golden_layer("spectral_conv")
    kernel = numbers["kernel"].astype("float64")
    matrix = kernel.transpose(3, 2, 0, 1).reshape(kernel.shape[-1], -1)
    u = np.linalg.lstsq(matrix.T, numbers["v_1"].astype("float64"), rcond=None)[0]
    layer = SpectralConv2D(8, 4, strides=2, padding=1)
    layer.build(numbers["input"].shape)
    layer.set_weights([kernel, u / np.linalg.norm(u), np.zeros(matrix.shape[1])])
    return numbers, layer


def test_golden_calls():
    numbers, layer = golden_numbers_and_layer()
    for i in (1, 2, 3):
        output = layer(numbers["input"], training=True)
        assert_close(output, numbers[f"output_{i}"], atol=1e-5)
        assert_close(layer.u, numbers[f"u_{i}"], atol=1e-5)
        assert_close(layer.v, numbers[f"v_{i}"], atol=1e-5)
    assert_close(layer(numbers["input"]), numbers["output_eval"], atol=1e-5)
    assert_close(layer.u, numbers["u_3"], atol=1e-5)


def test_golden_gradient():
    numbers, layer = golden_numbers_and_layer()
    layer.u.assign(numbers["u_2"])

    def loss():
        output = layer(numbers["input"], training=True)
        return keras.ops.mean(keras.ops.square(output))

    (gradient,) = compute_gradients(loss, [layer.kernel])
    assert_close(gradient, numbers["kernel_gradient_of_mean_square"], atol=1e-5)


def test_by_hand():
    # W is 3 times the identity on two channels: its spectral norm is 3.
    layer = SpectralConv2D(2, 1)
    layer.build((1, 4, 4, 2))
    layer.kernel.assign(3.0 * np.eye(2)[None, None])
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("float32")
    assert_close(layer(x, training=True), x, atol=1e-6)


def test_converges_to_the_spectral_norm():
    layer = SpectralConv2D(8, 3)
    x = np.ones((1, 4, 4, 5), "float32")
    for _ in range(100):
        layer(x, training=True)
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    matrix = kernel.transpose(3, 2, 0, 1).reshape(8, -1)
    u, v = (keras.ops.convert_to_numpy(w) for w in (layer.u, layer.v))
    np.testing.assert_allclose(u @ matrix @ v, np.linalg.norm(matrix, 2), rtol=1e-4)


def test_initial_sigma_is_of_the_right_magnitude():
    layer = SpectralConv2D(64, 4)
    layer.build((1, 8, 8, 32))
    u, v = (keras.ops.convert_to_numpy(w) for w in (layer.u, layer.v))
    matrix = keras.ops.convert_to_numpy(layer.kernel).transpose(3, 2, 0, 1)
    sigma = u @ matrix.reshape(64, -1) @ v
    # A random direction is stretched by the same order as the one stretched most.
    assert sigma > 0.5 * np.linalg.norm(matrix.reshape(64, -1), 2)


def test_raw_kernel_is_not_overwritten():
    layer = SpectralConv2D(4, 3)
    layer.build((1, 8, 8, 3))
    before = keras.ops.convert_to_numpy(layer.kernel)
    layer(np.ones((1, 8, 8, 3)), training=True)
    assert_close(layer.kernel, before, 0)


def test_inference_updates_no_weight():
    layer = SpectralConv2D(4, 3)
    layer.build((1, 8, 8, 3))
    before = layer.get_weights()
    layer(np.ones((1, 8, 8, 3)))
    for weight, old in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_norm_stays_exact_in_half_precision():
    numbers, layer = golden_numbers_and_layer()
    half = SpectralConv2D(8, 4, strides=2, padding=1, dtype="mixed_float16")
    half.build(numbers["input"].shape)
    half.set_weights(layer.get_weights())
    half(numbers["input"], training=True)
    assert_close(half.u, numbers["u_1"], atol=1e-5)


def test_gradients_reach_every_weight():
    layer = SpectralConv2D(4, 3)
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
    layer(x)
    assert_gradients_reach(
        lambda: keras.ops.sum(keras.ops.square(layer(x, training=True))),
        layer.trainable_variables,
    )


def test_signature_is_config():
    assert_signature_is_config(SpectralConv2D(4, 3))


@pytest.mark.parametrize("name", ["filters", "kernel_size", "strides"])
def test_bad_arguments(name):
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received: {name}=0"):
        SpectralConv2D(**{"filters": 4, "kernel_size": 3, "strides": 1, name: 0})


def test_bad_padding():
    with pytest.raises(ValueError, match="Received: padding=-1"):
        SpectralConv2D(4, 3, padding=-1)


def test_bad_inputs():
    with pytest.raises(ValueError, match="Received: inputs.shape"):
        SpectralConv2D(4, 3).build((1, 8, 3))
