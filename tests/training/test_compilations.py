import keras
import pytest

import keras_ctsdg
from keras_ctsdg.models import Discriminator, Generator
from tests.common import random_batch

# What fetches from a device or asks Python in the middle of a step.
FETCHES = {
    "tensorflow": ("PyFunc", "EagerPyFunc", "NumpyFunction"),
    "jax": ("pure_callback", "io_callback", "debug_callback"),
    "torch": ("aten::_local_scalar_dense", "aten::item", "aten::is_nonzero"),
}[keras.backend.backend()]
COMPILES = keras.backend.backend() != "torch"


@pytest.fixture
def counted(monkeypatch):
    """How often Python went through a step: once a compilation, where one compiles."""
    counts = {"steps": 0, "calls": 0}

    class Counting(keras_ctsdg.CTSDG):
        def prepare_batch(self, data):
            counts["steps"] += 1
            return super().prepare_batch(data)

        def call(self, inputs, training=False):
            counts["calls"] += 1
            return super().call(inputs, training=training)

    model = Counting(Generator(filters=4), Discriminator(filters=4))
    model.compile()
    return model, counts


def test_nothing_is_compiled_twice(counted):
    model, counts = counted
    batch = random_batch(4)
    for _ in range(2):
        model.fit(batch, batch_size=2, epochs=2, verbose=0)
    assert counts["steps"] == (1 if COMPILES else 8)
    counts["calls"] = 0
    for _ in range(2):
        model.predict(batch, batch_size=2, verbose=0)
    assert counts["calls"] == (1 if COMPILES else 4)


def operations_of_a_step(model, batch):
    """The names of all that a training step does on its device."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            step = tf.function(model.train_step).get_concrete_function(batch)
            graph = step.graph.as_graph_def()
            inner = [node for f in graph.library.function for node in f.node_def]
            return {node.op for node in [*graph.node, *inner]}
        case "jax":
            import jax

            model._symbolic_build(data_batch=batch)
            state = model._get_jax_state(
                trainable_variables=True,
                non_trainable_variables=True,
                optimizer_variables=True,
                metrics_variables=True,
            )
            return set(str(jax.make_jaxpr(model.train_step)(state, batch)).split())
        case "torch":
            from torch.profiler import profile

            with profile() as profiler:
                model.train_step(batch)
            return {event.key for event in profiler.key_averages()}


def test_nothing_leaves_the_device_in_a_step():
    model = keras_ctsdg.CTSDG(Generator(filters=4), Discriminator(filters=4))
    model.compile()
    batch = {
        key: keras.ops.convert_to_tensor(value)
        for key, value in random_batch(2).items()
    }
    names = operations_of_a_step(model, batch)
    assert len(names) > 20
    assert not [name for name in names if name.startswith(FETCHES)]
