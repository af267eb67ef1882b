from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from keras_ctsdg.training import TrainingStep
from tests.common import random_batch, to_numpy

WEIGHT = "gated_fusion"


@pytest.fixture
def ruined_model(small_model):
    """A model with one weight of the generator that is NaN."""
    gamma = small_model.generator.get_layer(WEIGHT).structure_gamma
    gamma.assign(to_numpy(gamma.value) * np.nan)
    return small_model


def test_a_ruined_model_does_not_fill(ruined_model):
    batch = random_batch(1)
    image, mask = np.zeros((128, 128, 3), "uint8"), np.zeros((128, 128), "uint8")
    mask[40:60, 40:60] = 255
    for fill in (
        lambda: ruined_model.predict(batch, verbose=0),
        lambda: ruined_model.predict_on_batch(batch),
        lambda: ruined_model.inpaint(image, mask),
    ):
        with pytest.raises(ValueError, match=f"finite to fill.*Received.*{WEIGHT}/"):
            fill()


def test_numbers_that_exceed_their_dtype_are_no_result(small_model, monkeypatch):
    batch = random_batch(1)
    monkeypatch.setattr(
        TrainingStep,
        "predict_on_batch",
        lambda self, x: x["image"] * np.inf,
    )
    with pytest.raises(ValueError, match="exceed .*float32.*Received"):
        small_model.predict_on_batch(batch)


def savers(model, folder):
    """Return functions that save a model, and the file that each of them writes."""
    checkpoint = keras.callbacks.ModelCheckpoint(folder / "checkpoint.keras")
    checkpoint.set_model(model)
    weights = keras.callbacks.ModelCheckpoint(
        folder / "checkpoint.weights.h5", save_weights_only=True
    )
    weights.set_model(model)
    return {
        "model.keras": lambda path: model.save(path),
        "model.weights.h5": lambda path: model.save_weights(str(path)),
        "checkpoint.keras": lambda _: checkpoint.on_epoch_end(0, {}),
        "checkpoint.weights.h5": lambda _: weights.on_epoch_end(0, {}),
        "preset/model.weights.h5": lambda path: model.save_to_preset(
            path.parent, overwrite=True
        ),
    }


def test_a_ruined_model_is_not_saved_over_a_good_one(small_model, tmp_path):
    files = savers(small_model, tmp_path)
    for name, save in files.items():
        save(tmp_path / name)
    good = {name: (tmp_path / name).read_bytes() for name in files}
    variable = small_model.discriminator.trainable_variables[-1]
    variable.assign(np.full(variable.shape, np.inf))
    for name, save in files.items():
        with pytest.raises(ValueError, match="must be finite to be saved.*Received"):
            save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == good[name]


def test_an_interrupted_save_leaves_the_old_file(small_model, tmp_path, monkeypatch):
    savers_by_name = savers(small_model, tmp_path)
    files = {name: savers_by_name[name] for name in ("model.keras", "model.weights.h5")}
    for name, save in files.items():
        save(tmp_path / name)
    good = {name: (tmp_path / name).read_bytes() for name in files}
    batch = random_batch(2)
    expected = small_model.predict_on_batch(batch)

    def stop(*_):
        raise KeyboardInterrupt("stopped")

    monkeypatch.setattr(small_model.canny, "save_own_variables", stop)
    for name, save in files.items():
        with pytest.raises(KeyboardInterrupt, match="stopped"):
            save(tmp_path / name)
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        small_model.save(tmp_path / "new.keras")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == good
    np.testing.assert_array_equal(small_model.predict_on_batch(batch), expected)


def test_threads_share_a_model(small_model):
    batches = [random_batch(2, seed=i) for i in range(2)]
    expected = [small_model.predict_on_batch(batch) for batch in batches]

    def fill(i):
        if i % 4 < 2:
            return small_model.predict_on_batch(batches[i % 2])
        return small_model.predict(batches[i % 2], verbose=0)

    with ThreadPoolExecutor(2) as executor:
        for i, filled in enumerate(executor.map(fill, range(6))):
            np.testing.assert_allclose(filled, expected[i % 2], atol=1e-6)
