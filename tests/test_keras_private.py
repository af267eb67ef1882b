"""What `keras_ctsdg._keras_private` assumes of Keras.

A failure here after an update of Keras says which function must change, or is no
longer needed.
"""

import gc
import inspect
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_ctsdg import _keras_private
from keras_ctsdg.models._memory_efficient import MemoryEfficientFunctional, run_graph
from tests.common import assert_close, make_feature_counter

BACKEND = keras.backend.backend()
on_torch = pytest.mark.skipif(BACKEND != "torch", reason="concerns PyTorch's trees")

# === Graphs of functional models ===


class AddScaled(layers.Layer):
    """A layer with nested, keyword and plain arguments."""

    def call(self, pair, scale=1.0, offset=None):
        return pair[0] + scale * pair[1] + offset


@pytest.fixture
def shared_layer_model():
    """Return a model that calls one of its layers twice."""
    inputs = {name: keras.Input((3,), name=name) for name in ("a", "b")}
    shared = layers.Rescaling(2.0, name="shared")
    first = shared(inputs["a"])
    second = shared(first)
    total = AddScaled(name="total")((second, inputs["b"]), scale=0.5, offset=first)
    return keras.Model(inputs, {"outputs": [first, total]})


def test_nodes_are_calls_in_an_order_that_can_be_run(shared_layer_model):
    nodes = _keras_private.graph_nodes(shared_layer_model)
    assert [node.operation.name for node in nodes] == ["shared", "shared", "total"]
    known = {id(x) for x in shared_layer_model.inputs}
    for node in nodes:
        assert {id(x) for x in node.input_tensors} <= known
        known |= {id(x) for x in node.outputs}
    assert {id(x) for x in shared_layer_model.outputs} <= known


def test_producing_node_is_that_of_the_call(shared_layer_model):
    nodes = _keras_private.graph_nodes(shared_layer_model)
    for node in nodes:
        (output,) = node.outputs
        assert _keras_private.producing_node(output) is node
    for tensor in shared_layer_model.inputs:
        assert _keras_private.producing_node(tensor).is_input


def test_call_arguments_hold_values(shared_layer_model):
    node = _keras_private.graph_nodes(shared_layer_model)[-1]
    values = {id(x): i for i, x in enumerate(node.input_tensors)}
    arguments, options = _keras_private.call_arguments(node, values)
    assert arguments == ((0, 1),)
    assert options == {"scale": 0.5, "offset": 2}


def test_outputs_are_packed_like_those_of_the_model(shared_layer_model):
    packed = _keras_private.pack_outputs(shared_layer_model, ["first", "total"])
    assert packed == {"outputs": ["first", "total"]}


def test_every_call_goes_through_the_overridden_method():
    x = keras.Input((3,))
    keras_method = type(keras.Model(x, ops.sin(x)))._run_through_graph
    own_method = _keras_private.GraphRunner._run_through_graph
    parameters = [
        list(inspect.signature(method).parameters)
        for method in (own_method, keras_method)
    ]
    assert parameters[0] == parameters[1], (
        "`GraphRunner._run_through_graph` must have the parameters of Keras' method"
    )
    calls = []

    class Runner(_keras_private.GraphRunner):
        def run_graph(self, inputs, operation_fn):
            calls.append(inputs)
            return run_graph(self, inputs, operation_fn)

    inputs = {name: keras.Input((3,), name=name) for name in ("a", "b")}
    runner = Runner(inputs, inputs["a"] + inputs["b"])
    # Keras passes `call_fn` when it checks a new graph.
    assert calls == []
    batch = {name: np.ones((2, 3), "float32") for name in inputs}
    assert_close(runner(batch), np.full((2, 3), 2.0), 0)
    assert len(calls) == 1
    assert_close(runner.predict(batch, verbose=0), np.full((2, 3), 2.0), 0)
    assert len(calls) > 1


def test_keras_still_holds_every_feature_until_a_call_ends():
    CountFeatures, references, num_alive = make_feature_counter()
    x = inputs = keras.Input((4,))
    for _ in range(4):
        x = CountFeatures()(x)
    model = keras.Model(inputs, x)
    references.clear(), num_alive.clear()
    model(np.ones((1, 4), "float32"))
    assert num_alive == [0, 1, 2, 3], (
        "Keras now releases features after their last use: "
        "`MemoryEfficientFunctional` and `GraphRunner` may no longer be needed"
    )


# === Layers of layers ===


def test_all_layers_come_before_their_parts():
    inner = layers.Dense(2, name="inner")
    outer = layers.TimeDistributed(inner, name="outer")
    x = keras.Input((3, 4))
    found = _keras_private.all_layers(keras.Model(x, outer(x), name="model"))
    names = [layer.name for layer in found if layer.name in ("model", "outer", "inner")]
    assert names == ["model", "outer", "inner"]


# === Memory on PyTorch ===


@on_torch
def test_keras_leaves_cycles_which_are_collected():
    import torch

    feature = torch.ones((1, 4))
    reference = weakref.ref(feature)
    gc.collect()
    gc.disable()
    try:
        layers.Concatenate()([feature, feature])
        del feature
        assert reference() is not None, (
            "Keras no longer leaves cycles behind: `collect_cycles` is not needed"
        )
        _keras_private.collect_cycles()
        assert reference() is None
    finally:
        gc.enable()


@pytest.fixture
def collections(monkeypatch):
    """Return the list of the generations for which `gc.collect` is called."""
    generations = []
    monkeypatch.setattr(_keras_private.gc, "collect", generations.append)
    return generations


def two_layer_model():
    inputs = keras.Input((4,))
    outputs = layers.Dense(1)(layers.Dense(2)(inputs))
    return MemoryEfficientFunctional(inputs, outputs)


def test_young_cycles_are_collected_after_every_node_in_inference(collections):
    model, batch = two_layer_model(), np.ones((1, 4), "float32")
    if BACKEND == "torch":
        model.predict_on_batch(batch)
        assert collections == [1, 1]
        model.trainable = False
        model(batch)
        assert collections == [1] * 4
    else:
        model(batch)
        assert collections == []


@on_torch
def test_cycles_are_not_collected_where_gradients_are_recorded(collections):
    output = two_layer_model()(np.ones((1, 4), "float32"))
    assert output.requires_grad
    assert collections == []


@on_torch
def test_cycles_are_not_collected_under_torch_compile(collections, monkeypatch):
    import torch

    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    two_layer_model().predict_on_batch(np.ones((1, 4), "float32"))
    _keras_private.collect_cycles()
    assert collections == []


# === Saved optimizers ===


def test_backend_optimizers_are_recognized():
    config = keras.saving.serialize_keras_object(keras.optimizers.Adam())
    assert _keras_private.is_backend_optimizer(config) == (BACKEND == "torch"), (
        "Keras serializes optimizers differently: `is_backend_optimizer` may no longer "
        f"be needed. Received: module={config['module']!r}"
    )
    config = keras.saving.serialize_keras_object(keras.optimizers.Ftrl())
    assert not _keras_private.is_backend_optimizer(config)
