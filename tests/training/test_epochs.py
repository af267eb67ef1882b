import pickle

import keras
import numpy as np
import pytest
from keras.src.trainers.epoch_iterator import EpochIterator

import keras_ctsdg
from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.models import Generator
from keras_ctsdg.training.data_adapter import validate_evaluation_data
from tests.data.common import levels


def show_epoch(iterator):
    images = [batch["image"] for _, _, data in iterator for batch in data]
    means = np.concatenate(images).mean(axis=(1, 2, 3))
    return np.rint((means + 1) * 127.5).astype(int).tolist()


def fit(
    model,
    x,
    epochs=1,
    initial_epoch=0,
    steps_per_epoch=None,
    shuffle=True,
    callbacks=(),
    validation_data=None,
):
    """Goes through data as Keras' `fit` does, and shows each epoch's pictures."""
    iterator = EpochIterator(x, steps_per_epoch=steps_per_epoch, shuffle=shuffle)
    iterator.reset()
    result = []
    for epoch in range(initial_epoch, epochs):
        for callback in callbacks:
            callback.on_epoch_begin(epoch)
        result.append(show_epoch(iterator))
        if validation_data is not None:
            evaluate(model, validation_data)
        for callback in callbacks:
            callback.on_epoch_end(epoch)
    return result


def evaluate(model, x):
    iterator = EpochIterator(x)
    iterator.reset()
    return show_epoch(iterator)


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(keras.Model, "fit", fit)
    monkeypatch.setattr(keras.Model, "evaluate", evaluate)
    monkeypatch.setattr(keras.Model, "predict", evaluate)
    return keras_ctsdg.CTSDG(Generator(filters=4))


def dataset(**kwargs):
    kwargs = {"image_size": 128, "batch_size": 2, **kwargs}
    return InpaintingDataset(levels(*range(10)), **kwargs)


@pytest.mark.parametrize("steps", [None, 3, 7])
@pytest.mark.parametrize("workers", [1, 2])
def test_fit_follows_epochs(model, steps, workers):
    kwargs = {"steps_per_epoch": steps}
    training = dataset(workers=workers)
    seen = model.fit(training, epochs=4, **kwargs)
    assert training.epoch == 4
    for epoch, pictures in enumerate(seen):
        assert len(pictures) == 2 * (steps or 5)
        # Epochs of the same pictures as those of the data set's own argument.
        alone = dataset(**kwargs)
        alone.epoch = epoch
        expected = [alone.pair(i)[0] for i in range(alone.num_items)]
        assert pictures == expected
    assert model.fit(dataset(), epochs=4, initial_epoch=2, **kwargs) == seen[2:]
    once_more = model.fit(training, epochs=1, **kwargs)
    assert once_more[0] not in seen


def test_fit_in_order_goes_on_where_an_epoch_of_steps_stopped(model):
    seen = model.fit(dataset(shuffle=False), epochs=2, steps_per_epoch=2)
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_evaluation_stays_at_an_epoch(model):
    training = dataset()
    seen = model.fit(training, epochs=2)
    # What the data set itself shows now, each time.
    expected = [training.pair(i)[0] for i in range(10)]
    for door in (model.evaluate, model.predict, model.evaluate):
        assert door(training) == expected
    assert training.epoch == 2
    assert model.fit(training, epochs=3, initial_epoch=2) == [expected]
    validated = dataset(seed=1)
    assert model.fit(dataset(), epochs=2, validation_data=validated) == seen
    assert validated.epoch == 0
    pickle.dumps(validate_evaluation_data(training))


def test_fit_leaves_other_data_sets_alone(model):
    class Other(keras.utils.PyDataset):
        epoch = "mine"

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return dataset()[index]

    other = Other()
    model.fit(other)
    assert other.epoch == "mine"
