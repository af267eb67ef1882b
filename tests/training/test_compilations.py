from collections import Counter

import keras
import pytest

import keras_ctsdg
from keras_ctsdg.models import Discriminator, Generator
from tests._keras_private import read_jax_training_state
from tests.common import random_batch

# Operations that copy a value to the host, or call Python, in the middle of a step.
HOST_OPERATIONS = {
    "tensorflow": ("PyFunc", "EagerPyFunc", "NumpyFunction"),
    "jax": ("pure_callback", "io_callback", "debug_callback"),
    "torch": ("aten::_local_scalar_dense", "aten::item", "aten::is_nonzero"),
}[keras.backend.backend()]
# PyTorch looks once a step whether all its numbers are finite.
READS = 1 if keras.backend.backend() == "torch" else 0
COMPILES = keras.backend.backend() != "torch"


class CountingCTSDG(keras_ctsdg.CTSDG):
    """Counts how often Python runs a step: once per compilation, if compiled."""

    steps = 0
    calls = 0
    graph = None

    def prepare_batch(self, data):
        self.steps += 1
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            self.graph = tf.compat.v1.get_default_graph()
        return super().prepare_batch(data)

    def call(self, inputs, training=False):
        self.calls += 1
        return super().call(inputs, training=training)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    model = CountingCTSDG(Generator(filters=4), Discriminator(filters=4))
    model.compile()
    return model


def test_nothing_is_compiled_twice(model):
    batch = random_batch(4)
    for _ in range(2):
        model.fit(batch, batch_size=2, epochs=2, verbose=0)
    assert model.steps == (1 if COMPILES else 8)
    model.calls = 0
    for _ in range(2):
        model.predict(batch, batch_size=2, verbose=0)
    assert model.calls == (1 if COMPILES else 4)
    model.steps = 0
    for _ in range(2):
        logs = model.evaluate(batch, batch_size=2, verbose=0, return_dict=True)
    assert model.steps == (1 if COMPILES else 4)
    assert logs["samples"] == 4


def step_operations(model, batch):
    """Return how often a training step has each operation on its device."""
    match keras.backend.backend():
        case "tensorflow":
            if model.graph is None:
                model.train_on_batch(batch)
            graph = model.graph.as_graph_def()
            nodes = [node for f in graph.library.function for node in f.node_def]
            return Counter(node.op for node in [*graph.node, *nodes])
        case "jax":
            import jax

            state = read_jax_training_state(model, batch)
            return Counter(str(jax.make_jaxpr(model.train_step)(state, batch)).split())
        case "torch":
            from torch.profiler import profile

            with profile() as profiler:
                model.train_step(batch)
            return Counter({x.key: x.count for x in profiler.key_averages()})


def test_nothing_leaves_the_device_in_a_step(model):
    batch = {
        key: keras.ops.convert_to_tensor(value)
        for key, value in random_batch(2).items()
    }
    counts = step_operations(model, batch)
    assert len(counts) > 20
    read = {name: n for name, n in counts.items() if name.startswith(HOST_OPERATIONS)}
    assert set(read.values()) <= {READS}, read
