import gc
import weakref

import keras
import numpy as np
from keras import layers, ops

from keras_ctsdg.models._memory_efficient import (
    MemoryEfficientFunctional,
    run_graph,
)
from tests.common import assert_close, make_feature_counter


def test_features_are_released_after_their_last_use():
    CountFeatures, references, num_alive = make_feature_counter()
    inputs = keras.Input((4,))
    first = x = CountFeatures()(inputs)
    for _ in range(4):
        x = CountFeatures()(x)
    model = keras.Model(inputs, {"last": x, "first": first})
    references.clear(), num_alive.clear()
    outputs = run_graph(model, [np.ones((1, 4), "float32")], lambda op: op)
    assert_close(outputs["last"], np.full((1, 4), 6.0), 1e-6)
    assert_close(outputs["first"], np.full((1, 4), 2.0), 1e-6)
    # The first output, and the input of the layer that is called.
    assert num_alive == [0, 1, 2, 2, 2]


def test_no_feature_is_kept_alive_by_a_cycle():
    references = []

    class Concatenate(layers.Layer):
        def call(self, inputs):
            output = ops.concatenate(inputs, axis=-1)
            references.append(weakref.ref(output))
            return output

    inputs = keras.Input((4,))
    x = inputs
    for _ in range(4):
        x = Concatenate()([x, inputs])
    model = keras.Model(inputs, x)
    references.clear()
    gc.collect()
    gc.disable()
    try:
        output = run_graph(model, [np.ones((1, 4), "float32")], lambda op: op)
        is_alive = [reference() is not None for reference in references]
        assert is_alive == [False] * 3 + [True]
    finally:
        gc.enable()
    assert output.shape == (1, 20)


def test_outputs_with_few_dependencies_come_first():
    order = []

    class RecordOrder(layers.Layer):
        def call(self, inputs):
            order.append(self.name)
            return inputs + 1.0

    inputs = keras.Input((4,))
    shared = RecordOrder(name="shared")(inputs)
    far = shared
    for name in ("far_1", "far_2", "far_3"):
        far = RecordOrder(name=name)(far)
    model = keras.Model(inputs, [far, RecordOrder(name="near")(shared)])
    order.clear()
    run_graph(model, [np.ones((1, 4), "float32")], lambda op: op)
    assert order == ["shared", "near", "far_1", "far_2", "far_3"]


def test_outputs_are_those_of_keras():
    inputs = {name: keras.Input((4,), name=name) for name in ("a", "b")}
    joined = layers.Concatenate()(list(inputs.values()))
    outputs = [layers.Dense(2)(joined), ops.sum(joined, axis=-1)]
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(3, 4)).astype("float32") for name in inputs}
    expected = model(values)
    for one, other in zip(
        run_graph(model, values, lambda op: op), expected, strict=True
    ):
        assert_close(one, ops.convert_to_numpy(other), 1e-6)
    memory_efficient = MemoryEfficientFunctional(inputs, outputs)
    for one, other in zip(memory_efficient(values), expected, strict=True):
        assert_close(one, ops.convert_to_numpy(other), 1e-6)


def test_training_argument_is_passed_on():
    inputs = keras.Input((4,))
    model = MemoryEfficientFunctional(inputs, layers.Dropout(0.5, seed=0)(inputs))
    x = np.ones((8, 4), "float32")
    assert_close(model(x), x, 0)
    assert ops.convert_to_numpy(model(x, training=True)).max() == 2
