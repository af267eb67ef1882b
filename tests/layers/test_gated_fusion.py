import keras
import numpy as np
import pytest

from keras_ctsdg.layers import BidirectionalGatedFusion
from tests._keras_private import TestCase
from tests.common import assert_close, assert_signature_is_config
from tests.golden_files import read_golden_layer
from tests.gradients import assert_gradients_reach


class BidirectionalGatedFusionConformance(TestCase):
    def test_layer(self):
        self.run_layer_test(
            BidirectionalGatedFusion,
            init_kwargs={},
            input_shape=((2, 8, 6, 4), (2, 8, 6, 4)),
            expected_output_shape=(2, 8, 6, 8),
            expected_num_trainable_weights=6,
            expected_num_non_trainable_weights=0,
        )


def layer_and_inputs(gammas):
    """Return a built layer with these gammas, and random features."""
    texture, structure = np.random.default_rng(0).normal(size=(2, 1, 8, 8, 4))
    layer = BidirectionalGatedFusion()
    layer.build((texture.shape, structure.shape))
    layer.structure_gamma.assign(gammas[0])
    layer.texture_gamma.assign(gammas[1])
    return layer, texture.astype("float32"), structure.astype("float32")


def test_golden():
    numbers = read_golden_layer("gated_fusion")
    layer = BidirectionalGatedFusion()
    layer.build((numbers["texture"].shape, numbers["structure"].shape))
    for variable in layer.weights:
        name = variable.path.split("/", 1)[1].replace("/", "_")
        variable.assign(numbers[name])
    output = layer((numbers["texture"], numbers["structure"]))
    assert_close(output, numbers["output"], atol=1e-5)


def test_starts_as_a_concatenation():
    layer, texture, structure = layer_and_inputs((0, 0))
    output = layer((texture, structure))
    assert_close(output, np.concatenate([texture, structure], -1), 0)


def test_by_hand():
    layer, texture, structure = layer_and_inputs((2.0, 3.0))
    for gate in (layer.structure_gate, layer.texture_gate):
        gate.kernel.assign(np.zeros(gate.kernel.shape))
    output = layer((texture, structure))
    # With a kernel of zeros, a gate is sigmoid(0), which is one half.
    new_texture = texture + 3.0 * (0.5 * structure)
    new_structure = structure + 2.0 * (0.5 * new_texture)
    assert_close(output, np.concatenate([new_texture, new_structure], -1), 1e-5)


def test_gates_start_with_different_weights():
    layer, _, _ = layer_and_inputs((0, 0))
    gates = [
        keras.ops.convert_to_numpy(gate.kernel)
        for gate in (layer.structure_gate, layer.texture_gate)
    ]
    assert np.abs(gates[0] - gates[1]).max() > 0


def test_gradients_reach_every_weight():
    layer, *inputs = layer_and_inputs((0.5, 0.5))
    assert_gradients_reach(
        lambda: keras.ops.sum(keras.ops.square(layer(tuple(inputs)))),
        layer.trainable_variables,
    )


def test_signature_is_config():
    assert_signature_is_config(BidirectionalGatedFusion())


@pytest.mark.parametrize(
    "shapes",
    [
        (1, 8, 8, 4),
        ((1, 8, 8, 4),),
        ((1, 8, 8, 4), (1, 8, 8, 2)),
        ((1, 8, 8, 4), (1, 8, 4, 4)),
        ((1, 8, 4), (1, 8, 4)),
    ],
)
def test_bad_inputs(shapes):
    with pytest.raises(ValueError, match="Received: "):
        BidirectionalGatedFusion().build(shapes)
