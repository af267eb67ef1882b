import itertools
import re

import keras
import numpy as np
import pytest

from keras_ctsdg.training.checked_data import check_data, check_data_set
from tests.common import NETWORK_INPUTS, random_batch
from tests.training.common import as_data_loader, as_tf_data

NUM_BATCHES = 3


def make_batches(bad=None, key="image"):
    """Return batches of two samples, one of which may have a pixel that is NaN."""
    batches = [random_batch(2, seed=i) for i in range(NUM_BATCHES)]
    if bad is not None:
        batches[bad][key][1, 3, 5] = np.nan
    return batches


class ListDataset(keras.utils.PyDataset):
    def __init__(self, batches, **kwargs):
        super().__init__(**kwargs)
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def as_dataset(batches):
    return ListDataset(batches)


def as_dataset_with_threads(batches):
    return ListDataset(batches, workers=2)


def as_tensorflow(batches):
    import tensorflow as tf

    arrays = {k: np.concatenate([b[k] for b in batches]) for k in batches[0]}
    return tf.data.Dataset.from_tensor_slices(arrays).batch(2)


def as_loader(batches, **kwargs):
    import torch

    samples = [
        {key: torch.from_numpy(value[i]) for key, value in batch.items()}
        for batch in batches
        for i in range(2)
    ]
    return torch.utils.data.DataLoader(samples, batch_size=2, **kwargs)


def as_generator(batches):
    return (batch for batch in batches)


# What reads and checks a kind of data is the same on every backend.
@pytest.mark.parametrize(
    "make_data",
    [
        as_dataset,
        as_tensorflow,
        as_generator,
        *(
            pytest.param(kind, marks=pytest.mark.backend_independent)
            for kind in (as_dataset_with_threads, as_loader)
        ),
    ],
)
def test_a_later_batch_is_refused_and_the_model_stays_usable(small_model, make_data):
    batch = random_batch(2)
    expected = small_model.predict_on_batch(batch)
    # Keras looks at the first two batches of some kinds before it starts.
    data = make_data(make_batches(bad=2, key="edge"))
    with pytest.raises(ValueError) as caught:
        small_model.predict(data, verbose=0)
    assert str(caught.value) == (
        "`edge` must be finite. Received: edge[1] with 1 of 16384 values NaN or "
        "infinite, in batch 2"
    )
    np.testing.assert_array_equal(small_model.predict_on_batch(batch), expected)
    assert len(small_model.predict(make_data(make_batches()), verbose=0)) == 6


def test_weights_are_unharmed(small_model):
    weights = small_model.get_weights()
    with pytest.raises(ValueError, match="image.1. with 3 of .*, in batch 1$"):
        small_model.fit(as_dataset(make_batches(bad=1)), verbose=0, shuffle=False)
    assert all(np.isfinite(weight).all() for weight in small_model.get_weights())
    changes = zip(small_model.get_weights(), weights, strict=True)
    # The first batch is good, and on TensorFlow the second is read before its step.
    assert any((new != old).any() for new, old in changes) or (
        keras.backend.backend() == "tensorflow"
    )
    logs = small_model.evaluate(random_batch(2), verbose=0, return_dict=True)
    assert np.isfinite(logs["generator_loss"])


@pytest.mark.backend_independent
def test_worker_processes_name_the_batch():
    data = check_data_set(as_loader(make_batches(bad=2), num_workers=1))
    with pytest.raises(ValueError, match=r"^`image` must be finite.*, in batch 2$"):
        list(data)


@pytest.mark.backend_independent
def test_inputs_of_no_use_are_left_out():
    batch = random_batch(2) | {"path": ["a.png", "b.png"], "index": np.arange(2)}
    assert set(check_data(batch)) == set(NETWORK_INPUTS)
    data = as_tf_data().map(lambda x: x | {"path": "a.png"})
    assert set(check_data_set(data).element_spec) == set(NETWORK_INPUTS)
    assert set(next(check_data_set(iter([batch])))[0]) == set(NETWORK_INPUTS)
    without = {"image": batch["image"], "mask": batch["mask"], "gray": None}
    assert set(check_data(without)) == {"image", "mask"}


@pytest.mark.backend_independent
def test_pipelines_keep_their_length():
    data = as_tensorflow(make_batches())
    assert check_data_set(data).cardinality() == NUM_BATCHES
    assert check_data_set(data.repeat()).cardinality() == -1
    assert len(check_data_set(as_data_loader())) == 2


def batch_and_target():
    return random_batch(2), np.zeros((2, 1))


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("data", "received"),
    [
        (lambda: [random_batch(2)] * 4, "list of 4: dict, dict, dict, ..."),
        (lambda: random_batch(2)["image"], "ndarray of shape (2, 128, 128, 3)"),
        (lambda: "photos", "str"),
        (lambda: None, "NoneType"),
        (
            lambda: list(random_batch(2).values()),
            "list of 4: ndarray of shape (2, 128, 128, 3), "
            "ndarray of shape (2, 128, 128, 1), "
            "ndarray of shape (2, 128, 128, 1), ...",
        ),
    ],
)
def test_what_is_no_data_is_described_in_one_line(data, received):
    with pytest.raises(ValueError) as caught:
        check_data_set(data())
    message = str(caught.value)
    assert "must be a dict of `image`, `mask`" in message
    assert message.endswith(f"Received: {received}")
    assert "\n" not in message


TUPLE = re.escape("tuple of 2: dict, ndarray of shape (2, 1)")


@pytest.mark.parametrize("make_data", [as_dataset, as_generator])
def test_batches_with_targets_are_refused(small_model, make_data):
    with pytest.raises(ValueError, match=f"^A batch must be .*: {TUPLE}, in batch 0$"):
        small_model.fit(make_data([batch_and_target()] * 3), verbose=0)


def test_pipelines_with_targets_are_refused(small_model):
    import tensorflow as tf
    import torch

    data = tf.data.Dataset.from_tensor_slices(batch_and_target()).batch(2)
    with pytest.raises(ValueError, match="A batch must be .*tuple of 2: dict, Tensor"):
        small_model.fit(data, verbose=0)
    samples = [(as_loader(make_batches()).dataset[0], torch.zeros(1))] * 2
    loader = torch.utils.data.DataLoader(samples, batch_size=2)
    with pytest.raises(ValueError, match="A batch must be .*: (list|tuple) of 2: dict"):
        small_model.fit(loader, verbose=0)


def test_any_iterator_of_batches_is_taken(small_model):
    batches = make_batches()
    filled = small_model.predict(iter(batches[:2]), verbose=0)
    assert len(filled) == 4
    endless = itertools.cycle([(batches[0], None)])
    np.testing.assert_allclose(
        small_model.predict(endless, steps=1, verbose=0), filled[:2], atol=1e-6
    )
