"""Fine-tuning under rates that follow a schedule."""

import json

import keras
import numpy as np
import pytest

from keras_ctsdg.training.callbacks import FineTuning, TrainingCheckpoint
from keras_ctsdg.training.fine_tuning import StageSchedule
from tests.common import random_batch, to_numpy
from tests.training.common import make_model

LINEAR = keras.optimizers.schedules.PolynomialDecay(1e-3, 100, 0.0)
SLOW = keras.optimizers.schedules.PolynomialDecay(5e-5, 10, 0.0)


def compiled(rate):
    return make_model(
        generator_optimizer=keras.optimizers.Adam(rate),
        discriminator_optimizer=keras.optimizers.Adam(rate),
    )


def begin(callback, model, epoch, state=None):
    """Go through the calls of `fit` up to an epoch, and return the rates it has."""
    callback.prepare(model)
    callback.set_model(model)
    callback.set_params({"steps": 4})
    callback.on_train_begin()
    if state is not None:
        callback.set_state(json.loads(json.dumps(state)))
    callback.on_epoch_begin(epoch)
    return read_rates(model)


def read_rates(model):
    return [
        float(to_numpy(optimizer.learning_rate))
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer)
    ]


def advance(model, steps):
    for optimizer in (model.generator_optimizer, model.discriminator_optimizer):
        optimizer.iterations.assign(steps)


def count_variables(model):
    return len(model.optimizer.variables)


@pytest.mark.backend_independent
@pytest.mark.parametrize("before", [LINEAR, 1e-3])
@pytest.mark.parametrize("rate", [SLOW, 5e-5])
def test_rates_of_both_stages_may_be_schedules(before, rate):
    model = compiled(before)
    callback = FineTuning(2, rate)
    callback.prepare(model)
    variables = count_variables(model)
    advance(model, 8)
    first = pytest.approx([1e-3 * (0.92 if before is LINEAR else 1)] * 2)
    assert begin(callback, model, 1) == first
    assert not model.freeze_batch_norm
    assert begin(callback, model, 2) == pytest.approx([5e-5, 5e-6])
    assert model.freeze_batch_norm
    advance(model, 13)
    left = 0.5 if rate is SLOW else 1
    assert read_rates(model) == pytest.approx([5e-5 * left, 5e-6 * left])
    # A file that was written in one stage fits the model in the other.
    assert count_variables(model) == variables
    # Resumed from a checkpoint, and from a file without the state of the callback.
    for state in (callback.get_state(), None):
        resumed = compiled(before)
        advance(resumed, 12)
        begin(FineTuning(2, rate), resumed, 3, state)
        advance(resumed, 13)
        assert read_rates(resumed) == read_rates(model)


@pytest.mark.backend_independent
def test_schedule_of_a_stage_is_saved():
    for rate in (SLOW, 5e-5):
        schedule = StageSchedule(rate, start=4, factor=0.5)
        config = keras.saving.serialize_keras_object(schedule)
        loaded = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
        for step in (0, 4, 9):
            assert float(loaded(step)) == float(schedule(step))
    assert float(StageSchedule(SLOW, start=4)(9)) == pytest.approx(2.5e-5)


@pytest.mark.slow
def test_training_resumes_within_fine_tuning(tmp_path):
    data = {key: np.repeat(x, 2, 0) for key, x in random_batch(1).items()}

    def train(epochs, folder):
        keras.utils.set_random_seed(1)
        model = compiled(1e-3)
        callbacks = [FineTuning(1, SLOW), TrainingCheckpoint(tmp_path / folder)]
        options = {"batch_size": 1, "shuffle": False, "verbose": 0}
        model.fit(data, epochs=epochs, callbacks=callbacks, **options)
        return model

    expected = train(3, "whole")
    train(2, "parts")
    actual = train(3, "parts")
    assert read_rates(actual) == read_rates(expected) == pytest.approx([3e-5, 3e-6])
    for x, y in zip(actual.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)
