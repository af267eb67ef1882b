import keras
import numpy as np
import pytest

from keras_ctsdg.layers import MultiScaleFeatureAggregation
from tests._keras_private import TestCase
from tests.common import assert_close, assert_signature_is_config
from tests.golden_files import read_golden_layer
from tests.gradients import assert_gradients_reach


class MultiScaleFeatureAggregationConformance(TestCase):
    def test_layer(self):
        self.run_layer_test(
            MultiScaleFeatureAggregation,
            init_kwargs={"filters": 6, "dilation_rates": (1, 3)},
            input_shape=(2, 8, 6, 4),
            expected_output_shape=(2, 8, 6, 6),
            expected_num_trainable_weights=8,
            expected_num_non_trainable_weights=0,
        )


def test_golden():
    numbers = read_golden_layer("multi_scale")
    names = [f"dilated_{i}" for i in range(4)] + ["weight_0", "weight_1"]
    layer = MultiScaleFeatureAggregation(8)
    layer.build(numbers["input"].shape)
    layer.set_weights(
        [numbers[f"{name}_{part}"] for name in names for part in ("kernel", "bias")]
    )
    assert_close(layer(numbers["input"]), numbers["output"], atol=1e-5)


def test_by_hand():
    layer = MultiScaleFeatureAggregation(1, (1, 2), kernel_initializer="ones")
    layer.build((1, 5, 5, 1))
    # The scores are 0 and log(3), so the softmax gives weights of 1/4 and 3/4.
    layer.weight_scores.kernel.assign(np.zeros((1, 1, 1, 2)))
    layer.weight_scores.bias.assign([-1.0, np.log(3.0)])
    output = layer(np.ones((1, 5, 5, 1), "float32"))
    # Of the 9 entries of the dense and the dilated window, 4 and 4 lie inside the map
    # at the corner, 9 and 9 in the center, and 6 and 4 next to the corner.
    assert_close(output[0, 0, 0, 0], 4, 1e-5)
    assert_close(output[0, 2, 2, 0], 9, 1e-5)
    assert_close(output[0, 0, 1, 0], 0.25 * 6 + 0.75 * 4, 1e-5)


def test_branches_start_with_different_weights():
    layer = MultiScaleFeatureAggregation(4)
    layer.build((1, 8, 8, 4))
    kernels = [keras.ops.convert_to_numpy(b.kernel) for b in layer.branches]
    assert np.abs(kernels[0] - kernels[1]).max() > 0


def test_gradients_reach_every_weight():
    layer = MultiScaleFeatureAggregation(8)
    features = np.random.default_rng(0).normal(size=(1, 16, 16, 8)).astype("float32")
    layer(features)
    assert_gradients_reach(
        lambda: keras.ops.sum(keras.ops.square(layer(features))),
        layer.trainable_variables,
    )


def test_signature_is_config():
    assert_signature_is_config(MultiScaleFeatureAggregation(4))


def test_bad_arguments():
    with pytest.raises(ValueError, match="Received: filters=0"):
        MultiScaleFeatureAggregation(0)
    with pytest.raises(ValueError, match=r"Received: dilation_rates=\(\)"):
        MultiScaleFeatureAggregation(4, dilation_rates=())


def test_bad_inputs():
    with pytest.raises(ValueError, match="Received: inputs.shape"):
        MultiScaleFeatureAggregation(4).build((1, 8, 8))
