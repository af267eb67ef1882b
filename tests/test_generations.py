"""Files that earlier versions wrote load, fill and train.

The quick run takes the files of the next backend, the slow run all of them.
"""

import zipfile
from io import BytesIO
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import keras_ctsdg
from tests.common import EAGER_ON_TENSORFLOW, to_numpy
from tests.generations.write import BACKENDS, make_batch, sample

FOLDER = Path(__file__).parent / "generations"
GENERATIONS = sorted(path.name for path in FOLDER.iterdir() if path.name.isdigit())
PRESETS = ("preset_float32", "preset_float16")
# The quick runs on all three backends close the ring.
RING = dict(zip(BACKENDS, BACKENDS[1:] + BACKENDS[:1], strict=True))
NEXT_BACKEND = RING[keras.backend.backend()]
BACKENDS_IN_TURN = [
    pytest.param(x, marks=[] if x == NEXT_BACKEND else [pytest.mark.slow])
    for x in BACKENDS
]


def read_expected(generation):
    """Return the fills and losses of a generation's models."""
    with np.load(FOLDER / generation / "expected.npz") as arrays:
        return dict(arrays)


def assert_fills(model, filled):
    np.testing.assert_allclose(
        sample(model.predict_on_batch(make_batch())), filled, atol=1e-4
    )


def read_shapes(path):
    """Return the shapes of all arrays of a `.keras` file, by their names."""
    with zipfile.ZipFile(path) as archive:
        weights = BytesIO(archive.read("model.weights.h5"))
    shapes = {}

    def collect(name, item):
        if isinstance(item, h5py.Dataset):
            shapes[name] = item.shape

    with h5py.File(weights) as file:
        file.visititems(collect)
    return shapes


def test_first_generation_is_tested():
    assert "1" in GENERATIONS


def test_files_of_today_have_the_arrays_of_every_generation(small_model, tmp_path):
    """What reads those, on any backend, reads these."""
    small_model.save(tmp_path / "model.keras")
    shapes = read_shapes(tmp_path / "model.keras")
    assert len(shapes) > 500
    # Older files have no count of the steps that were left out, and start at 0.
    for name in ("bad_steps", "bad_steps_in_row"):
        assert shapes.pop(f"optimizer/vars/{name}") == ()
    for generation in GENERATIONS:
        for backend in BACKENDS:
            assert read_shapes(FOLDER / generation / f"{backend}.keras") == shapes


def load_model(generation, backend):
    model = keras.saving.load_model(FOLDER / generation / f"{backend}.keras")
    model.run_eagerly = EAGER_ON_TENSORFLOW
    return model


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("backend", BACKENDS_IN_TURN)
def test_model_file_fills(generation, backend):
    model = load_model(generation, backend)
    assert (model.edges, model.sigma) == ("wrapped", 1.5)
    assert int(model.optimizer.iterations.numpy()) == 2
    assert_fills(model, read_expected(generation)[f"{backend}/filled"])


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("backend", BACKENDS_IN_TURN)
def test_model_file_resumes_training(generation, backend):
    numbers = read_expected(generation)
    model = load_model(generation, backend)
    logs = to_numpy(model.train_on_batch(make_batch(), return_dict=True))
    prefix = f"{backend}/losses/"
    losses = {k.removeprefix(prefix): v for k, v in numbers.items() if prefix in k}
    assert losses.keys() | {"loss"} == logs.keys()
    for name, value in losses.items():
        np.testing.assert_allclose(logs[name], value, rtol=2e-3, err_msg=name)
    assert int(model.optimizer.iterations.numpy()) == 3


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("preset", PRESETS)
def test_preset_fills(generation, preset):
    numbers = read_expected(generation)
    model = keras_ctsdg.from_preset(FOLDER / generation / preset)
    model.run_eagerly = EAGER_ON_TENSORFLOW
    assert (model.edges, model.sigma) == ("wrapped", 1.5)
    assert_fills(model, numbers[f"{preset}/filled"])


@pytest.mark.slow
@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("preset", PRESETS)
def test_preset_is_trained(generation, preset):
    model = keras_ctsdg.from_preset(FOLDER / generation / preset)
    model.compile(run_eagerly=EAGER_ON_TENSORFLOW)
    before = to_numpy(model.generator.trainable_variables[0].value)
    logs = to_numpy(model.train_on_batch(make_batch(), return_dict=True))
    assert np.isfinite(list(logs.values())).all()
    after = to_numpy(model.generator.trainable_variables[0].value)
    assert not np.array_equal(before, after)
