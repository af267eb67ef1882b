import keras
import pytest

import keras_ctsdg
from keras_ctsdg.models import Discriminator, Generator
from tests.common import random_batch

COMPILES = keras.backend.backend() != "torch"


@pytest.fixture
def counted(monkeypatch):
    """How often Python went through a step: once a compilation, where one compiles."""
    counts = {"steps": 0, "calls": 0}

    class Counting(keras_ctsdg.CTSDG):
        def prepare(self, data):
            counts["steps"] += 1
            return super().prepare(data)

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
