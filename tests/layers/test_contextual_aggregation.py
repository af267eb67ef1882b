import keras
import numpy as np
import pytest

from keras_ctsdg.layers import (
    ContextualFeatureAggregation,
    MultiScaleFeatureAggregation,
    RegionAffinityLearning,
)
from tests._keras_private import TestCase
from tests.common import assert_close, assert_signature_is_config, call_compiled
from tests.golden_files import read_golden_layer
from tests.gradients import assert_gradients_reach


class ContextualFeatureAggregationConformance(TestCase):
    def test_layer(self):
        self.run_layer_test(
            ContextualFeatureAggregation,
            init_kwargs={"filters": 4, "dilation_rates": (1, 2), "softmax_scale": 5.0},
            input_shape=((2, 8, 6, 4), (2, 8, 6, 4)),
            expected_output_shape=(2, 8, 6, 4),
            expected_num_trainable_weights=8,
            expected_num_non_trainable_weights=0,
        )


def test_equals_region_affinity_then_multi_scale():
    numbers = read_golden_layer("region_affinity_cross")
    inputs = (numbers["background"], numbers["foreground"])
    layer = ContextualFeatureAggregation(8)
    layer.build([x.shape for x in inputs])
    output = call_compiled(layer, inputs)
    multi_scale = MultiScaleFeatureAggregation(8)
    multi_scale.build(numbers["output"].shape)
    multi_scale.set_weights(layer.get_weights())
    expected = call_compiled(multi_scale, numbers["output"])
    assert_close(output, keras.ops.convert_to_numpy(expected), 1e-5)
    affinity = RegionAffinityLearning()
    expected = call_compiled(lambda inputs: multi_scale(affinity(inputs)), inputs)
    assert_close(output, keras.ops.convert_to_numpy(expected), 1e-6)


def test_gradients_reach_every_weight():
    layer = ContextualFeatureAggregation(8)
    features = np.random.default_rng(0).normal(size=(1, 16, 16, 8)).astype("float32")
    layer.build((features.shape, features.shape))
    assert_gradients_reach(
        lambda: keras.ops.sum(keras.ops.square(layer((features, features)))),
        layer.trainable_variables,
    )


def test_signature_is_config():
    assert_signature_is_config(ContextualFeatureAggregation(4))


def test_bad_inputs():
    with pytest.raises(ValueError, match="Received: "):
        ContextualFeatureAggregation(4).build(((1, 8, 8, 4), (1, 8, 8, 2)))
