import gc
import weakref

import keras
import numpy as np
from keras import layers, ops

from keras_ctsdg.models._memory_efficient import (
    MemoryEfficientFunctional,
    run_graph,
)
from tests.common import assert_close


def test_lets_go_of_what_is_not_used_again():
    held, alive = [], []

    class Look(layers.Layer):
        def call(self, inputs):
            alive.append(sum(reference() is not None for reference in held))
            output = inputs + 1.0
            held.append(weakref.ref(output))
            return output

    inputs = keras.Input((4,))
    first = x = Look()(inputs)
    for _ in range(4):
        x = Look()(x)
    model = keras.Model(inputs, {"last": x, "first": first})
    held.clear(), alive.clear()
    outputs = run_graph(model, [np.ones((1, 4), "float32")], lambda op: op)
    assert_close(outputs["last"], np.full((1, 4), 6.0), 1e-6)
    assert_close(outputs["first"], np.full((1, 4), 2.0), 1e-6)
    # An output, and what the layer is called on.
    assert alive == [0, 1, 2, 2, 2]


def test_nothing_is_held_by_cycles():
    held = []

    class Keep(layers.Layer):
        def call(self, inputs):
            output = ops.concatenate(inputs, axis=-1)
            held.append(weakref.ref(output))
            return output

    inputs = keras.Input((4,))
    x = inputs
    for _ in range(4):
        x = Keep()([x, inputs])
    model = keras.Model(inputs, x)
    held.clear()
    gc.collect()
    gc.disable()
    try:
        output = run_graph(model, [np.ones((1, 4), "float32")], lambda op: op)
        assert [reference() is not None for reference in held] == [False] * 3 + [True]
    finally:
        gc.enable()
    assert output.shape == (1, 20)


def test_outputs_that_need_little_come_first():
    order = []

    class Note(layers.Layer):
        def call(self, inputs):
            order.append(self.name)
            return inputs + 1.0

    inputs = keras.Input((4,))
    shared = Note(name="shared")(inputs)
    far = shared
    for name in ("far_1", "far_2", "far_3"):
        far = Note(name=name)(far)
    model = keras.Model(inputs, [far, Note(name="near")(shared)])
    order.clear()
    run_graph(model, [np.ones((1, 4), "float32")], lambda op: op)
    assert order == ["shared", "near", "far_1", "far_2", "far_3"]


def test_is_what_keras_gives():
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
    lean = MemoryEfficientFunctional(inputs, outputs)
    for one, other in zip(lean(values), expected, strict=True):
        assert_close(one, ops.convert_to_numpy(other), 1e-6)


def test_passes_training_on():
    inputs = keras.Input((4,))
    model = MemoryEfficientFunctional(inputs, layers.Dropout(0.5, seed=0)(inputs))
    x = np.ones((8, 4), "float32")
    assert_close(model(x), x, 0)
    assert ops.convert_to_numpy(model(x, training=True)).max() == 2
