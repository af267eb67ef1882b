import keras
import numpy as np
import pytest

from tests.common import NETWORK_INPUTS, random_batch
from tests.test_ctsdg import Batches, as_data_loader, as_tf_data, new_model

DOORS = (
    "fit",
    "evaluate",
    "predict",
    "train_on_batch",
    "test_on_batch",
    "predict_on_batch",
)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return new_model()


@pytest.mark.parametrize("door", DOORS)
def test_bad_data_is_refused_before_any_work(model, monkeypatch, door):
    for name in ("make_train_function", "make_test_function", "make_predict_function"):
        monkeypatch.setattr(model, name, lambda *_: pytest.fail("work was begun"))
    batch = random_batch(2)
    enter = getattr(model, door)
    for key in NETWORK_INPUTS:
        with pytest.raises(ValueError, match=rf"\['{key}'\] missing. Received: keys="):
            enter({k: v for k, v in batch.items() if k != key})
        with pytest.raises(ValueError, match=f"Received: {key}.shape="):
            enter(batch | {key: batch[key][0]})
    with pytest.raises(ValueError, match="multiples of 128. Received: "):
        enter({k: v[:, :96, :96] for k, v in batch.items()})
    with pytest.raises(ValueError, match="must agree in .*Received: "):
        enter(batch | {"gray": batch["gray"][:1]})
    for mask in (255 * batch["mask"], batch["mask"] - 0.5, batch["mask"] * np.nan):
        with pytest.raises(ValueError, match=r"`mask` must lie in \[0, 1\].*Received"):
            enter(batch | {"mask": mask})


def test_bad_batches_of_a_loader_are_refused(model):
    loader = as_data_loader()
    loader.dataset[-1]["mask"] = 255 * loader.dataset[-1]["mask"]
    with pytest.raises(ValueError, match=r"`mask` must lie in \[0, 1\]"):
        model.predict(loader, verbose=0)
    # And the model is what it was.
    assert model.predict_on_batch(random_batch()).shape == (1, 128, 128, 3)


def test_masks_may_be_bool(model):
    batch = random_batch()
    filled = model.predict_on_batch(batch | {"mask": batch["mask"].astype(bool)})
    np.testing.assert_array_equal(filled, model.predict_on_batch(batch))


def test_bad_data_sets_are_refused(model):
    class Bytes(Batches):
        def __getitem__(self, index):
            batch = super().__getitem__(index)
            return batch | {"mask": 255 * batch["mask"]}

    with pytest.raises(ValueError, match=r"`mask` must lie in \[0, 1\]"):
        model.fit(Bytes())
    with pytest.raises(ValueError, match=r"`mask` must lie in \[0, 1\]"):
        model.fit(Batches(), validation_data=Bytes())
    with pytest.raises(ValueError, match="multiples of 128"):
        model.fit(as_tf_data().map(lambda b: {k: v[:, :96] for k, v in b.items()}))
