import keras
import numpy as np
import pytest

from keras_ctsdg.layers import PartialConv2D
from tests._keras_private import TestCase
from tests.common import assert_close, assert_signature_is_config
from tests.golden_files import read_golden_layer
from tests.gradients import assert_gradients_reach

ONE_SOURCE = ((2, 8, 8, 3), (2, 8, 8, 1))


class PartialConv2DConformance(TestCase):
    def test_one_source(self):
        self.run_layer_test(
            PartialConv2D,
            init_kwargs={"filters": 4, "kernel_size": 3, "strides": 2},
            input_shape=ONE_SOURCE,
            expected_output_shape=((2, 4, 4, 4), (2, 4, 4, 1)),
            expected_num_trainable_weights=2,
            expected_num_non_trainable_weights=0,
        )

    def test_two_sources_of_odd_size(self):
        self.run_layer_test(
            PartialConv2D,
            init_kwargs={"filters": 4, "kernel_size": 5, "use_bias": False},
            input_shape=((2, 7, 9, 3), (2, 7, 9, 1), (2, 7, 9, 2), (2, 7, 9, 2)),
            expected_output_shape=((2, 7, 9, 4), (2, 7, 9, 1)),
            expected_num_trainable_weights=1,
            expected_num_non_trainable_weights=0,
        )


@pytest.mark.parametrize(
    ("name", "kernel_size", "strides"),
    [
        ("partial_conv_k7s2", 7, 2),
        ("partial_conv_k5s2", 5, 2),
        ("partial_conv_k3s2_bias", 3, 2),
        ("partial_conv_k3s1", 3, 1),
    ],
)
def test_golden(name, kernel_size, strides):
    numbers = read_golden_layer(name)
    use_bias = "bias" in numbers
    layer = PartialConv2D(4, kernel_size, strides, use_bias=use_bias)
    layer.build((numbers["input"].shape, numbers["validity"].shape))
    layer.set_weights([numbers[k] for k in ("kernel", "bias") if k in numbers])
    output, new_validity = layer((numbers["input"], numbers["validity"]))
    assert_close(output, numbers["output"], atol=1e-5)
    assert_close(new_validity, numbers["updated_validity"][..., :1], atol=0)


def test_by_hand():
    layer = PartialConv2D(1, 3, kernel_initializer="ones")
    features = np.arange(1.0, 10.0).reshape(1, 3, 3, 1).astype("float32")
    validity = np.zeros((1, 3, 3, 1), "float32")
    validity[0, 0, 0] = validity[0, 0, 1] = 1
    output, new_validity = layer((features, validity))
    # In the upper two rows, windows hold both valid entries: (1 + 2) * 9 / 2. Those
    # on the right hold only the second one: 2 * 9 / 1.
    assert_close(
        output[0, :, :, 0], [[13.5, 13.5, 18], [13.5, 13.5, 18], [0] * 3], 1e-5
    )
    assert_close(new_validity[0, :, :, 0], [[1, 1, 1], [1, 1, 1], [0, 0, 0]], 0)


def test_invalid_features_have_no_effect():
    layer = PartialConv2D(2, 3)
    validity = np.ones((1, 8, 8, 1), "float32")
    validity[:, 2:6, 2:6] = 0
    features = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
    other = np.where(validity == 0, 1000, features)
    expected = keras.ops.convert_to_numpy(layer((other, validity))[0])
    assert_close(layer((features, validity))[0], expected, 1e-6)


def test_window_without_valid_entries_gives_zero_even_with_bias():
    layer = PartialConv2D(2, 3, bias_initializer="ones")
    output, new_validity = layer((np.ones((1, 4, 4, 3)), np.zeros((1, 4, 4, 1))))
    assert_close(output, np.zeros((1, 4, 4, 2)), 0)
    assert_close(new_validity, np.zeros((1, 4, 4, 1)), 0)


def test_two_sources_equal_one_source_with_validity_per_channel():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 1, 8, 8, 3)).astype("float32")
    valid_1, valid_2 = (rng.random((2, 1, 8, 8, 1)) < 0.5).astype("float32")
    both = np.concatenate([first, second], -1)
    validity = np.concatenate([valid_1] * 3 + [valid_2] * 3, -1)
    layer = PartialConv2D(4, 3)
    two = layer((first, valid_1, second, valid_2))
    one = layer((both, validity))
    assert_close(two[0], keras.ops.convert_to_numpy(one[0]), 1e-6)
    assert_close(two[1], keras.ops.convert_to_numpy(one[1]), 0)


def test_unknown_sizes():
    features, validity = keras.Input((None, None, 3)), keras.Input((None, None, 1))
    outputs = PartialConv2D(4, 3, strides=2)((features, validity))
    assert [tuple(x.shape) for x in outputs] == [
        (None, None, None, 4),
        (None, None, None, 1),
    ]
    model = keras.Model((features, validity), outputs)
    output, _ = model.predict((np.ones((1, 9, 6, 3)), np.ones((1, 9, 6, 1))), verbose=0)
    assert output.shape == (1, 5, 3, 4)


def test_counts_stay_exact_in_half_precision():
    # A window has 7 * 7 * 64 = 3136 entries; float16 has no odd integers above 2048.
    layer = PartialConv2D(1, 7, use_bias=False, dtype="mixed_float16")
    features = np.ones((1, 7, 7, 64), "float32")
    validity = np.ones_like(features)
    validity[0, 0, 0, :63] = 0
    layer.build((features.shape, validity.shape))
    layer.set_weights([np.full((7, 7, 64, 1), 1 / 64)])
    output, _ = layer((features, validity))
    # All valid features are 1, so the result is 49 times their mean.
    assert_close(output[0, 3, 3, 0], 49, atol=0.05)


def test_gradients_reach_every_weight():
    layer = PartialConv2D(4, 3)
    inputs = (np.random.default_rng(0).normal(size=(1, 8, 8, 3)), np.ones((1, 8, 8, 1)))
    layer(inputs)
    assert_gradients_reach(
        lambda: keras.ops.sum(keras.ops.square(layer(inputs)[0])),
        layer.trainable_variables,
    )


def test_signature_is_config():
    assert_signature_is_config(PartialConv2D(4, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 0, "kernel_size": 3}, "filters=0"),
        ({"filters": 4, "kernel_size": 4}, "kernel_size=4"),
        ({"filters": 4, "kernel_size": 3, "strides": 0}, "strides=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"Received: .*{message}"):
        PartialConv2D(**arguments)


@pytest.mark.parametrize(
    "shapes",
    [
        (8, 8, 8, 3),
        ((1, 8, 8, 3),),
        ((1, 8, 8, 3), (1, 8, 8)),
        ((1, 8, 8, 3), (1, 8, 8, 2)),
        ((1, 8, 8, 3), (1, 8, 4, 1)),
        ((1, 8, 8, 3), (1, 8, 8, 1), (1, 8, 8, 3)),
    ],
)
def test_bad_inputs(shapes):
    with pytest.raises(ValueError, match="Received: "):
        PartialConv2D(4, 3).build(shapes)
