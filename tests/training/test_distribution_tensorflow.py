"""Data of several hosts of TensorFlow, as each of them reads its own."""

import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("is an engine of TensorFlow", allow_module_level=True)

import tensorflow as tf

from keras_ctsdg.training import distribution_tensorflow as engine


class Batches(keras.utils.PyDataset):
    def __init__(self, num_batches=3):
        super().__init__()
        self._num_batches = num_batches

    @property
    def num_batches(self):
        return self._num_batches

    def __getitem__(self, index):
        size = 1 if index == 2 else 3
        return {"image": np.full((size, 2, 2, 3), index, "float32")}


def as_generator():
    return (({"image": x},) for x in map(read_image, range(3)))


def as_list():
    return [({"image": x},) for x in map(read_image, range(3))]


def as_tf_data():
    specs = {"image": tf.TensorSpec((None, 2, 2, 3))}
    batches = [{"image": x} for x in map(read_image, range(3))]
    return tf.data.Dataset.from_generator(lambda: batches, output_signature=specs)


def read_image(index):
    return Batches()[index]["image"]


@pytest.fixture
def two_hosts(monkeypatch):
    """The strategy of one of two hosts, which leaves its data as they are."""
    monkeypatch.setattr(engine, "process_count", lambda: 2)
    return SimpleNamespace(
        num_replicas_in_sync=2,
        distribute_datasets_from_function=lambda make: make(None),
    )


@pytest.mark.parametrize("make", [Batches, as_generator, as_list, as_tf_data])
def test_a_host_uses_all_of_its_data(make, two_hosts):
    batches = engine.distribute_batches(make(), two_hosts)
    assert [sorted(batch["image"][:, 0, 0, 0].numpy()) for batch in batches] == [
        [0, 0, 0],
        [1, 1, 1],
        [2],
    ]


def test_a_host_divides_batches_among_its_devices(two_hosts):
    two_hosts.num_replicas_in_sync = 4
    parts = engine.distribute_batches(Batches(), two_hosts)
    assert [len(part["image"]) for part in parts] == [2, 1, 2, 1, 1, 0]


def test_data_without_an_end_and_in_another_order(two_hosts):
    batches = engine.distribute_batches(Batches(None), two_hosts)
    first = [int(x["image"][0, 0, 0, 0]) for x in itertools.islice(batches, 4)]
    assert first == [0, 1, 2, 3]
    shuffled = engine.distribute_batches(Batches(50), two_hosts, shuffle=True)
    order = [int(x["image"][0, 0, 0, 0]) for x in shuffled]
    assert order != sorted(order) == list(range(50))


def test_one_process_leaves_data_to_keras():
    data = Batches()
    assert engine.distribute_batches(data, None) is data


def test_callbacks_know_the_number_of_steps():
    follow, params = engine.FollowData(Batches()), {"steps": None}
    follow.set_params(params)
    follow.on_train_begin()
    assert params["steps"] == 3
