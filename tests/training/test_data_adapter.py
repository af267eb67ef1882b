import numpy as np
import pytest

from tests.common import NETWORK_INPUTS, random_batch
from tests.training.common import Batches, as_data_loader, as_tf_data

METHODS = (
    "fit",
    "evaluate",
    "predict",
    "train_on_batch",
    "test_on_batch",
    "predict_on_batch",
)


@pytest.mark.parametrize("method", METHODS)
def test_bad_data_is_refused_before_any_work(small_model, monkeypatch, method):
    for name in ("make_train_function", "make_test_function", "make_predict_function"):
        monkeypatch.setattr(small_model, name, lambda *_: pytest.fail("work started"))
    batch = random_batch(2)
    call = getattr(small_model, method)
    for key in NETWORK_INPUTS:
        with pytest.raises(ValueError, match=rf"\['{key}'\] missing. Received: keys="):
            call({k: v for k, v in batch.items() if k != key})
        with pytest.raises(ValueError, match=f"Received: {key}.shape="):
            call(batch | {key: batch[key][0]})
    with pytest.raises(ValueError, match="multiples of 128. Received: "):
        call({k: v[:, :96, :96] for k, v in batch.items()})
    with pytest.raises(ValueError, match="must agree in .*Received: "):
        call(batch | {"gray": batch["gray"][:1]})
    for key in NETWORK_INPUTS:
        for change in (255, np.nan):
            with pytest.raises(ValueError, match=rf"`{key}` must .*Received: {key}\["):
                call(batch | {key: change * batch[key]})
    levels = np.rint(127.5 * (batch["image"] + 1)).astype("uint8")
    with pytest.raises(ValueError, match="127.5 and subtract 1.*dtype=uint8"):
        call(batch | {"image": levels})
    with pytest.raises(ValueError, match="must be a dict .*Received: list of 2: dict"):
        call([batch, batch])


TARGETS = {
    "fit": ("y", "sample_weight", "class_weight"),
    "evaluate": ("y", "sample_weight"),
    "train_on_batch": ("y", "sample_weight", "class_weight"),
    "test_on_batch": ("y", "sample_weight"),
}


@pytest.mark.parametrize("method", TARGETS)
def test_arguments_that_have_no_part_are_refused(small_model, method):
    batch = random_batch(2)
    call = getattr(small_model, method)
    for name in TARGETS[method]:
        value = {0: 1.0} if name == "class_weight" else np.ones((2, 1))
        message = (
            f"`{name}` must be None.*Received: {name} of type {type(value).__name__}"
        )
        with pytest.raises(ValueError, match=message):
            call(batch, **{name: value})
    with pytest.raises(ValueError, match="`y` must be None"):
        call(batch, batch["image"])


def test_validation_data_has_no_targets(small_model):
    batch = random_batch(2)
    weights = np.ones(2)
    for data in ((batch, weights), (Batches(), weights)):
        with pytest.raises(ValueError, match="`y` must be None"):
            small_model.fit(batch, validation_data=data)
    with pytest.raises(ValueError, match="`sample_weight` must be None"):
        small_model.fit(batch, validation_data=(batch, None, weights))
    with pytest.raises(ValueError, match="`sample_weight` must be None"):
        small_model.evaluate(batch, None, 2, 0, weights)


@pytest.mark.parametrize("index", [0, -1])
def test_bad_batches_of_a_loader_are_refused(small_model, index):
    batch = random_batch(2)
    expected = small_model.predict_on_batch(batch)
    loader = as_data_loader()
    sample = loader.dataset[index]
    sample["mask"] = 255 * sample["mask"]
    with pytest.raises(ValueError, match=r"`mask` must lie in \[0, 1\]"):
        small_model.predict(loader, verbose=0)
    # The error leaves the model as it was.
    np.testing.assert_array_equal(small_model.predict_on_batch(batch), expected)


def test_masks_may_be_bool(small_model):
    batch = random_batch(2)
    filled = small_model.predict_on_batch(batch | {"mask": batch["mask"].astype(bool)})
    np.testing.assert_array_equal(filled, small_model.predict_on_batch(batch))


class ByteMasks(Batches):
    def __getitem__(self, index):
        batch = super().__getitem__(index)
        return batch | {"mask": 255 * batch["mask"]}


def test_bad_data_sets_are_refused(small_model):
    with pytest.raises(ValueError, match=r"`mask` must lie in \[0, 1\]"):
        small_model.fit(ByteMasks())
    with pytest.raises(ValueError, match=r"`mask` must lie in \[0, 1\]"):
        small_model.fit(Batches(), validation_data=ByteMasks())
    data = as_tf_data().map(lambda batch: {k: v[:, :96] for k, v in batch.items()})
    with pytest.raises(ValueError, match="multiples of 128"):
        small_model.fit(data)
