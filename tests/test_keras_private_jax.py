"""What `keras_ctsdg._keras_private` assumes of Keras' trainer on JAX.

A failure here after an update of Keras says that `RecoverableState` must change, or is
no longer needed.
"""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import layers

from keras_ctsdg import _keras_private
from tests.common import to_numpy

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="concerns the JAX trainer"
)


class FailingDataset(keras.utils.PyDataset):
    """Four batches, of which one raises an error."""

    def __init__(self, failing):
        super().__init__()
        self.failing = failing

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == self.failing:
            raise RuntimeError("no batch")
        return np.ones((2, 3), "float32"), np.ones((2, 1), "float32")


@pytest.fixture
def trained_model():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.evaluate(FailingDataset(None), verbose=0)
    return model


@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_keras_loses_variables_on_an_error(trained_model, method):
    with pytest.raises(RuntimeError, match="no batch"):
        getattr(trained_model, method)(FailingDataset(0), verbose=0)
    assert trained_model.weights[0]._value is None, (
        "Keras now keeps the variables: `RecoverableState` is not needed"
    )


def test_keras_loses_variables_on_an_error_in_fit(trained_model):
    trained_model.fit(FailingDataset(None), verbose=0)
    with pytest.raises(RuntimeError, match="no batch"):
        trained_model.fit(FailingDataset(0), verbose=0)
    assert trained_model.weights[0]._value is None, (
        "Keras now keeps the variables: `RecoverableState` is not needed"
    )


class RecoverableModel(_keras_private.RecoverableState, keras.Sequential):
    pass


@pytest.fixture
def recoverable_model():
    model = RecoverableModel([keras.Input((3,)), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(FailingDataset(None), verbose=0)
    return model


@pytest.mark.parametrize("failing", [0, 2])
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_variables_are_recovered_after_an_error(recoverable_model, method, failing):
    model = recoverable_model
    before = model.get_weights()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no batch"), model.recover_state():
            options = {"shuffle": False} if method == "fit" else {}
            getattr(model, method)(FailingDataset(failing), verbose=0, **options)
        for value, old in zip(model.get_weights(), before, strict=True):
            if method != "fit" or failing == 0:
                np.testing.assert_array_equal(value, old)
    assert np.isfinite(model.evaluate(FailingDataset(None), verbose=0))
    model.fit(FailingDataset(None), verbose=0)


def test_an_error_does_not_bring_back_the_values_of_an_earlier_one(recoverable_model):
    model = recoverable_model
    for failing, value in ((2, 1.0), (0, 2.0)):
        model.set_weights([np.full((3, 1), value), np.full(1, value)])
        with pytest.raises(RuntimeError, match="no batch"), model.recover_state():
            model.predict(FailingDataset(failing), verbose=0)
        assert to_numpy(model.weights[0].value)[0, 0] == value


def test_variables_are_recovered_in_the_first_step_after_a_validation(
    recoverable_model,
):
    model, epochs = recoverable_model, []

    def begin_batch(batch, logs):
        if len(epochs) == 2:
            data.failing = 0

    data = FailingDataset(None)
    callback = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: epochs.append(epoch),
        on_train_batch_begin=begin_batch,
    )
    with pytest.raises(RuntimeError, match="no batch"), model.recover_state():
        model.fit(
            data,
            epochs=2,
            verbose=0,
            shuffle=False,
            validation_data=FailingDataset(None),
            callbacks=[callback],
        )
    assert np.isfinite(model.get_weights()[0]).all()
    assert np.isfinite(model.evaluate(FailingDataset(None), verbose=0))


def test_threads_wait_for_the_variables(recoverable_model):
    batch = np.ones((2, 3), "float32")
    expected = recoverable_model.predict(batch, verbose=0)

    def predict(_):
        with recoverable_model.recover_state():
            return recoverable_model.predict(batch, verbose=0)

    with ThreadPoolExecutor(4) as executor:
        for filled in executor.map(predict, range(8)):
            np.testing.assert_array_equal(filled, expected)
