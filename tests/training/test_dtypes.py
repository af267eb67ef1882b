"""Every dtype policy trains, evaluates and fills."""

import keras
import numpy as np
import pytest

import keras_ctsdg
from keras_ctsdg.models import Discriminator, Generator
from tests.common import random_batch, slow_if
from tests.training.common import make_model

# Each is a step of its own to compile; `test_ctsdg.py` trains in mixed precision.
slow_elsewhere = slow_if(keras.backend.backend() != "torch")


@slow_elsewhere
def test_weights_of_float16_fill_and_are_not_trained():
    keras.config.set_dtype_policy("float16")
    model = keras_ctsdg.CTSDG(Generator(filters=4), Discriminator(filters=4))
    with pytest.raises(ValueError, match='"mixed_float16".*generator with weights'):
        model.compile()
    assert_fills(model)


@pytest.fixture
def floatx():
    before = keras.config.floatx()
    yield
    keras.config.set_floatx(before)


@slow_elsewhere
@pytest.mark.parametrize("policy", ["float64", "bfloat16", "mixed_float16"])
def test_policy_trains_and_fills(policy):
    keras.config.set_dtype_policy(policy)
    model = make_model()
    assert_trains_and_fills(model)


@slow_elsewhere
def test_floatx_trains_and_fills(floatx):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    assert_trains_and_fills(make_model())


def assert_trains_and_fills(model):
    logs = model.train_on_batch(random_batch(2), return_dict=True)
    logs |= model.test_on_batch(random_batch(2), return_dict=True)
    losses = [value for name, value in logs.items() if "loss" in name]
    assert np.isfinite(losses).all()
    assert_fills(model)


def assert_fills(model):
    image = np.full((100, 90, 3), 200, "uint8")
    mask = np.zeros((100, 90), "uint8")
    mask[20:40, 30:60] = 255
    filled = model.inpaint(image, mask)
    np.testing.assert_array_equal(filled[mask == 0], image[mask == 0])
