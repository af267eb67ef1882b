"""Files that earlier versions wrote load, fill and train."""

from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ctsdg
from tests.common import EAGER_ON_TENSORFLOW, to_numpy
from tests.generations.write import BACKENDS, make_batch, sample

FOLDER = Path(__file__).parent / "generations"
GENERATIONS = sorted(path.name for path in FOLDER.iterdir() if path.name.isdigit())
PRESETS = ("preset_float32", "preset_float16")


def read_expected(generation):
    """Return the fills and losses of a generation's models."""
    with np.load(FOLDER / generation / "expected.npz") as arrays:
        return dict(arrays)


def assert_fills(model, filled):
    np.testing.assert_allclose(
        sample(model.predict_on_batch(make_batch())), filled, atol=1e-4
    )


def test_first_generation_is_tested():
    assert "1" in GENERATIONS


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_model_file_fills_and_resumes_training(generation, backend):
    numbers = read_expected(generation)
    model = keras.saving.load_model(FOLDER / generation / f"{backend}.keras")
    model.run_eagerly = EAGER_ON_TENSORFLOW
    assert (model.edges, model.sigma) == ("wrapped", 1.5)
    assert int(model.optimizer.iterations.numpy()) == 2
    assert_fills(model, numbers[f"{backend}/filled"])
    logs = to_numpy(model.train_on_batch(make_batch(), return_dict=True))
    prefix = f"{backend}/losses/"
    losses = {k.removeprefix(prefix): v for k, v in numbers.items() if prefix in k}
    assert losses.keys() | {"loss"} == logs.keys()
    for name, value in losses.items():
        np.testing.assert_allclose(logs[name], value, rtol=2e-3, err_msg=name)
    assert int(model.optimizer.iterations.numpy()) == 3


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("preset", PRESETS)
def test_preset_fills_and_trains(generation, preset):
    numbers = read_expected(generation)
    model = keras_ctsdg.from_preset(FOLDER / generation / preset)
    assert (model.edges, model.sigma) == ("wrapped", 1.5)
    assert_fills(model, numbers[f"{preset}/filled"])
    model.compile(run_eagerly=EAGER_ON_TENSORFLOW)
    before = to_numpy(model.generator.trainable_variables[0].value)
    logs = to_numpy(model.train_on_batch(make_batch(), return_dict=True))
    assert np.isfinite(list(logs.values())).all()
    after = to_numpy(model.generator.trainable_variables[0].value)
    assert not np.array_equal(before, after)
