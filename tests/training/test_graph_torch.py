"""Steps on PyTorch as single graphs of `torch.compile`."""

import shutil

import keras
import numpy as np
import pytest

from keras_ctsdg.training.callbacks import FineTuning
from tests.common import random_batch, to_numpy
from tests.training.common import make_model

pytestmark = [
    pytest.mark.skipif(
        keras.backend.backend() != "torch", reason="concerns torch.compile"
    ),
]


@pytest.fixture
def graphs(monkeypatch):
    """Record the graphs that are compiled, and run them without compilation."""
    import torch

    compiled = []

    def record(graph, fullgraph, dynamic):
        assert fullgraph and not dynamic
        compiled.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", record)
    return compiled


def make_pair(**options):
    """Return two equal models, of which the second one is compiled."""
    models = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(1)
        models.append(make_model(jit_compile=jit_compile, **options))
    return models


def assert_equal_weights(eager, compiled):
    for expected, actual in zip(eager.weights, compiled.weights, strict=True):
        np.testing.assert_allclose(
            to_numpy(actual.value),
            to_numpy(expected.value),
            atol=1e-6,
            err_msg=expected.path,
        )


def test_function_is_recorded_once_for_each_shape(graphs):
    from keras_ctsdg.training.graph_torch import CompiledFunction

    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )
    kernel, mean = model.layers[0].kernel, model.layers[1].moving_mean

    def train(inputs):
        import torch

        output = model(inputs["x"], training=True)
        (gradient,) = torch.autograd.grad((output * inputs["y"]).sum(), [kernel.value])
        return {"output": output, "gradients": [gradient]}

    function = CompiledFunction(train, model.variables)
    for size in (4, 5, 4):
        inputs = {
            key: keras.random.normal((size, width))
            for key, width in (("y", 2), ("x", 3))
        }
        before = to_numpy(mean.value)
        expected = train(inputs)
        expected_mean = to_numpy(mean.value)
        mean.assign(before)
        results = function(inputs)
        for key in ("output", "gradients"):
            np.testing.assert_allclose(
                to_numpy(results[key]), to_numpy(expected[key]), atol=1e-5
            )
        np.testing.assert_allclose(to_numpy(mean.value), expected_mean, atol=1e-6)
        # The values of variables are inputs of the graph, and no constants.
        kernel.assign(kernel.value + 1.0)
    assert len(graphs) == 2


@pytest.mark.slow
def test_graphs_compute_what_the_steps_compute(graphs):
    eager, compiled = make_pair()
    batch = random_batch(2)
    for method in ("train_on_batch", "train_on_batch", "test_on_batch"):
        expected, actual = (
            getattr(model, method)(batch, return_dict=True)
            for model in (eager, compiled)
        )
        assert expected.keys() == actual.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(actual[name], value, rtol=1e-4, err_msg=name)
    assert_equal_weights(eager, compiled)
    without_edges = {key: batch[key] for key in ("image", "mask")}
    for batch in (random_batch(2), without_edges):
        np.testing.assert_allclose(
            compiled.predict(batch, verbose=0),
            eager.predict(batch, verbose=0),
            atol=1e-5,
        )
    # One of each step, whatever the number of calls and where the edges come from.
    assert len(graphs) == 3


@pytest.mark.slow
def test_every_size_has_a_graph(graphs):
    _, model = make_pair()
    for size in (1, 2, 1):
        model.predict(random_batch(size), verbose=0)
    assert len(graphs) == 2
    image = np.full((150, 100, 3), 90, "uint8")
    mask = np.zeros((150, 100), "uint8")
    mask[20:40, 20:40] = 255
    assert model.inpaint(image, mask).shape == image.shape


@pytest.mark.slow
def test_settings_that_change_have_new_graphs(graphs):
    eager, compiled = make_pair()
    for model in (eager, compiled):
        model.fit(random_batch(2), epochs=2, verbose=0, callbacks=[FineTuning(1)])
    assert_equal_weights(eager, compiled)
    assert len(graphs) == 2
    for model in (eager, compiled):
        model.generator.get_layer("texture_encoder_2").trainable = False
        model.compile(jit_compile=model is compiled)
        model.train_on_batch(random_batch(2))
    assert_equal_weights(eager, compiled)


@pytest.mark.slow
def test_scale_of_the_losses_is_no_constant(graphs):
    keras.config.set_dtype_policy("mixed_float16")
    eager, compiled = make_pair()
    for model in (eager, compiled):
        model.train_on_batch(random_batch(2))
        for scale in model.optimizer.scales.values():
            scale.value.assign(8.0)
    losses = [
        m.train_on_batch(random_batch(2), return_dict=True) for m in (eager, compiled)
    ]
    np.testing.assert_allclose(losses[0]["loss"], losses[1]["loss"], rtol=1e-2)
    assert len(graphs) == 1


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
def test_compiled_model_trains_predicts_and_fills():
    import torch

    torch._dynamo.utils.counters.clear()
    eager, compiled = make_pair()
    batch = random_batch(2)
    np.testing.assert_allclose(
        compiled.predict(batch, verbose=0), eager.predict(batch, verbose=0), atol=1e-4
    )
    image = np.full((100, 90, 3), 90, "uint8")
    mask = np.zeros((100, 90), "uint8")
    mask[20:40, 20:40] = 255
    filled = [model.inpaint(image, mask).astype(int) for model in (eager, compiled)]
    assert np.abs(filled[0] - filled[1]).max() <= 1
    histories = [
        model.fit(batch, epochs=3, verbose=0).history for model in (eager, compiled)
    ]
    for name, expected in histories[0].items():
        np.testing.assert_allclose(
            histories[1][name], expected, rtol=1e-3, err_msg=name
        )
    counters = torch._dynamo.utils.counters
    assert not counters["graph_break"]
    # Of the training, of both predictions' sizes.
    assert counters["stats"]["unique_graphs"] == 3
