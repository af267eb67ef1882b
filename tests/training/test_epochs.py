import pickle

import keras
import numpy as np
import pytest

import keras_ctsdg
from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.models import Generator
from keras_ctsdg.training.data_adapter import validate_evaluation_data
from tests._keras_private import EpochIterator
from tests.data.common import gray_images

pytestmark = pytest.mark.backend_independent


def read_epoch(iterator):
    """Return the gray level of each image of an epoch."""
    images = [batch["image"] for _, _, data in iterator for batch in data]
    means = np.concatenate(images).mean(axis=(1, 2, 3))
    return np.rint((means + 1) * 127.5).astype(int).tolist()


def iterate_fit(
    model,
    x,
    y=None,
    epochs=1,
    initial_epoch=0,
    steps_per_epoch=None,
    shuffle=True,
    callbacks=(),
    validation_data=None,
):
    """Iterate over data as Keras' `fit` does, and return the images of each epoch."""
    iterator = EpochIterator(x, steps_per_epoch=steps_per_epoch, shuffle=shuffle)
    iterator.reset()
    result = []
    for epoch in range(initial_epoch, epochs):
        for callback in callbacks:
            callback.on_epoch_begin(epoch)
        result.append(read_epoch(iterator))
        if validation_data is not None:
            iterate_evaluation(model, validation_data)
        for callback in callbacks:
            callback.on_epoch_end(epoch)
    return result


def iterate_evaluation(model, x, *args):
    """Iterate over data as Keras' `evaluate` does, and return the images."""
    iterator = EpochIterator(x)
    iterator.reset()
    return read_epoch(iterator)


@pytest.fixture
def model(monkeypatch):
    """A model that iterates over data and computes nothing."""
    monkeypatch.setattr(keras.Model, "fit", iterate_fit)
    monkeypatch.setattr(keras.Model, "evaluate", iterate_evaluation)
    monkeypatch.setattr(keras.Model, "predict", iterate_evaluation)
    return keras_ctsdg.CTSDG(Generator(filters=4))


def make_dataset(**kwargs):
    kwargs = {"image_size": 128, "batch_size": 2, **kwargs}
    return InpaintingDataset(gray_images(*range(10)), **kwargs)


@pytest.mark.parametrize("steps", [None, 3, 7])
@pytest.mark.parametrize("workers", [1, 2])
def test_fit_follows_epochs(model, steps, workers):
    kwargs = {"steps_per_epoch": steps}
    dataset = make_dataset(workers=workers)
    epochs = model.fit(dataset, epochs=4, **kwargs)
    assert dataset.epoch == 4
    for epoch, images in enumerate(epochs):
        assert len(images) == 2 * (steps or 5)
        # The data set's own `steps_per_epoch` gives the same epochs.
        other = make_dataset(**kwargs)
        other.epoch = epoch
        expected = [other.source_indices(i)[0] for i in range(other.num_samples)]
        assert images == expected
    assert model.fit(make_dataset(), epochs=4, initial_epoch=2, **kwargs) == epochs[2:]
    next_epoch = model.fit(dataset, epochs=1, **kwargs)
    assert next_epoch[0] not in epochs


def test_fit_without_shuffle_continues_in_order(model):
    epochs = model.fit(make_dataset(shuffle=False), epochs=2, steps_per_epoch=2)
    assert epochs == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_evaluation_keeps_the_epoch(model):
    dataset = make_dataset()
    epochs = model.fit(dataset, epochs=2)
    expected = [dataset.source_indices(i)[0] for i in range(10)]
    for method in (model.evaluate, model.predict, model.evaluate):
        assert method(dataset) == expected
    assert dataset.epoch == 2
    assert model.fit(dataset, epochs=3, initial_epoch=2) == [expected]
    validation = make_dataset(seed=1)
    assert model.fit(make_dataset(), epochs=2, validation_data=validation) == epochs
    assert validation.epoch == 0
    pickle.dumps(validate_evaluation_data(dataset))


def test_fit_leaves_other_data_sets_alone(model):
    class OtherDataset(keras.utils.PyDataset):
        epoch = "own"

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return make_dataset()[index]

    other = OtherDataset()
    model.fit(other)
    assert other.epoch == "own"
