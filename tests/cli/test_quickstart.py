import csv
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.quickstart import (
    TRAINING_PHOTOS,
    UNSEEN_PHOTOS,
    PhotoCrops,
    load_photos,
    psnr,
    run_quickstart,
)
from tests.common import TRACES

SMALL = {"filters": 8, "batch_size": 1, "epochs": 2, "steps": 2}


@pytest.fixture(scope="module", autouse=True)
def without_tracing():
    """What is compiled is what the large test below runs."""
    if not TRACES:
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def read_history(folder):
    with open(folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart") / "new" / "folder"
    return folder, run_quickstart(folder, seed=3, **SMALL)


def test_writes_its_three_files(results):
    folder, scores = results
    assert {path.name for path in folder.iterdir()} == {
        "before_after.png",
        "history.csv",
        "model.keras",
    }
    history = read_history(folder)
    assert [row["epoch"] for row in history] == ["0", "1"]
    assert all(np.isfinite(float(value)) for row in history for value in row.values())
    with Image.open(folder / "before_after.png") as picture:
        assert picture.size == (3 * 136 + 8, 4 * 136 + 20)
    assert all(np.isfinite(score) for score in scores.values())


def test_model_is_reloadable(results):
    folder, scores = results
    model = keras.saving.load_model(folder / "model.keras")
    unseen = PhotoCrops(load_photos(UNSEEN_PHOTOS), 4, 1, seed=3)[0]
    filled = model.predict(unseen, verbose=0)
    assert psnr(filled, unseen["image"]) == pytest.approx(scores["filled"], abs=1e-3)


def test_equal_seeds_give_equal_losses(results, tmp_path):
    folder, _ = results
    run_quickstart(tmp_path / "same", seed=3, **SMALL)
    assert read_history(tmp_path / "same") == read_history(folder)
    crops = [PhotoCrops(load_photos(UNSEEN_PHOTOS), 1, 1, seed) for seed in (3, 4)]
    assert (crops[0][0]["image"] != crops[1][0]["image"]).any()


def test_shows_pictures_it_did_not_train_on():
    assert not set(TRAINING_PHOTOS) & set(UNSEEN_PHOTOS)


def test_crops():
    crops = PhotoCrops(load_photos(UNSEEN_PHOTOS), batch_size=2, batches=3, seed=0)
    assert len(crops) == 3
    batch = crops[1]
    assert batch["image"].shape == (2, 128, 128, 3)
    assert batch["image"].min() >= -1
    assert batch["image"].max() <= 1
    for key in ("gray", "edge", "mask"):
        assert batch[key].shape == (2, 128, 128, 1)
    again = PhotoCrops(load_photos(UNSEEN_PHOTOS), 2, 3, seed=0)[1]
    for key, value in batch.items():
        np.testing.assert_array_equal(value, again[key])
    assert (crops[0]["image"] != batch["image"]).any()


def test_psnr_by_hand():
    # Off by 0.2 of 2: a tenth of the peak, 20 dB.
    assert psnr(np.full((1, 4, 4, 3), 0.2), np.zeros((1, 4, 4, 3))) == pytest.approx(20)


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="Received: epochs=0"):
        run_quickstart(tmp_path, epochs=0)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="`out` must be a folder. Received: out="):
        run_quickstart(tmp_path / "file")


def test_command_tells_errors_in_a_line(command, tmp_path):
    (tmp_path / "file").touch()
    code, _, stderr = command("quickstart", "--out", tmp_path / "file")
    assert code == 1
    assert "Error: `out` must be a folder." in stderr
    assert "Traceback" not in stderr


def test_command_wants_a_folder(command):
    code, _, stderr = command("quickstart")
    assert code == 2
    assert "--out" in stderr


@pytest.mark.large
def test_command_keeps_its_promise(tmp_path):
    """The README's: under 4 minutes, losses showing, holes filled visibly."""
    # The default backend is the one that is promised; others show they run.
    promised = keras.backend.backend() == "tensorflow"
    epochs = [] if promised else ["--epochs", "2"]
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", "keras_ctsdg.cli", "quickstart", *epochs]
        + ["--out", tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    elapsed = time.monotonic() - start
    assert result.returncode == 0, result.stderr
    assert "generator_loss" in result.stdout
    assert "before_after.png" in result.stdout
    if promised:
        assert elapsed < 240
        first, *_, last = read_history(tmp_path / "out")
        assert float(last["val_hole"]) < 0.75 * float(first["val_hole"])
