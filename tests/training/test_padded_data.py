"""Samples of weight 0, which only fill up a batch."""

import keras
import numpy as np
import pytest

from keras_ctsdg.training.checked_data import BatchError, check_data
from keras_ctsdg.training.padded_data import (
    PaddedArrays,
    leave_out_padding,
    pad_to_multiple,
)
from tests.common import assert_close, random_batch, slow_if, to_numpy
from tests.training.common import read_state, restore_state


def make_batches():
    """Return a batch of two samples: plain, weighted, with a third one of weight 0."""
    batch, other = random_batch(2), random_batch(1, seed=1)
    padded = {key: np.concatenate([batch[key], other[key]]) for key in batch}
    yield batch
    yield {**batch, "sample_weight": np.ones(2, "float32")}
    yield {**padded, "sample_weight": np.float32([1, 1, 0])}


# JAX compiles each of the three kinds of batches for minutes.
@slow_if(keras.backend.backend() != "torch")
def test_sample_of_weight_0_counts_nothing(small_model):
    state = read_state(small_model)
    # Adam divides by gradients near 0: weights may differ where its slots do not.
    compared = small_model.non_trainable_variables + small_model.optimizer.variables
    logs, losses, slots, filled = [], [], [], []
    for batch in make_batches():
        restore_state(state)
        logs.append(small_model.test_on_batch(batch, return_dict=True))
        losses.append(small_model.train_on_batch(batch, return_dict=True))
        slots.append([to_numpy(variable.value) for variable in compared])
        filled.append(small_model.predict_on_batch(batch))
    assert logs[2]["samples"] == 2
    for plain, weighted, padded in (logs, losses):
        for name, value in plain.items():
            assert_close(weighted[name], value, 1e-6, 1e-5)
            assert_close(padded[name], value, 1e-6, 1e-5)
    # Plain statistics are computed otherwise, which the gradients amplify.
    _, weighted, padded = slots
    for expected, actual in zip(weighted, padded, strict=True):
        assert_close(actual, expected, 1e-3 * np.abs(expected).max() + 1e-7)
    assert [len(images) for images in filled] == [2, 2, 2]


@pytest.mark.backend_independent
def test_batches_are_padded_to_a_multiple():
    batch = random_batch(3, height=2, width=2)
    padded = pad_to_multiple(batch, 2)
    assert padded["sample_weight"].tolist() == [1, 1, 1, 0]
    np.testing.assert_array_equal(padded["image"][:3], batch["image"])
    np.testing.assert_array_equal(padded["image"][3], batch["image"][2])
    again = pad_to_multiple({k: x[:3] for k, x in padded.items()} | padded, 3)
    assert again["sample_weight"].tolist() == [1, 1, 1, 0, 0, 0]
    assert pad_to_multiple(batch, 0) is batch
    np.testing.assert_array_equal(leave_out_padding(padded), batch["image"])


@pytest.mark.backend_independent
@pytest.mark.parametrize("shuffle", [False, True])
def test_arrays_are_divided_into_padded_batches(shuffle):
    arrays = random_batch(5, height=2, width=2)
    dataset = PaddedArrays(arrays, batch_size=4, multiple=2, shuffle=shuffle)
    weights = [batch["sample_weight"].tolist() for batch in dataset]
    assert weights == [[1, 1, 1, 1], [1, 0]]
    images = np.concatenate([leave_out_padding(batch) for batch in dataset])
    if shuffle:
        images = images[np.argsort(dataset.order)]
    np.testing.assert_array_equal(images, arrays["image"])


@pytest.mark.backend_independent
@pytest.mark.parametrize("weights", [[1.0], [1.0, np.nan], [1.0, -1.0]])
def test_bad_weights_are_refused(weights):
    batch = {**random_batch(2), "sample_weight": np.float32(weights)}
    with pytest.raises(BatchError, match="`sample_weight` must hold a finite number"):
        check_data(batch)
