import contextlib
import csv
import io
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
    mean_psnr,
    open_dataset,
    run_quickstart,
    unseen_batch,
)
from tests.common import EAGER_ON_TENSORFLOW, slow_if

SMALL = {"filters": 8, "batch_size": 1, "epochs": 2, "steps": 2}


@pytest.fixture(scope="module", autouse=True)
def without_tracing():
    """Run eagerly: the slow test below runs what is compiled."""
    if not EAGER_ON_TENSORFLOW:
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
    with contextlib.redirect_stdout(io.StringIO()) as output:
        scores = run_quickstart(folder, seed=3, **SMALL)
    return folder, scores, output.getvalue()


@pytest.mark.backend_independent
def test_writes_three_files(results):
    folder, scores, _ = results
    assert {path.name for path in folder.iterdir()} == {
        "before_after.png",
        "history.csv",
        "model.keras",
    }
    history = read_history(folder)
    assert [row["epoch"] for row in history] == ["0", "1"]
    assert all(np.isfinite(float(value)) for row in history for value in row.values())
    with Image.open(folder / "before_after.png") as image:
        assert image.size == (3 * 136 + 8, 4 * 136 + 20)
    assert all(np.isfinite(score) for score in scores.values())


@pytest.mark.backend_independent
def test_a_file_gets_no_progress_bar(results):
    _, _, output = results
    assert "Epoch 2/2" in output
    assert len(output.splitlines()) == 4
    assert not set("\b\r") & set(output)


@pytest.mark.backend_independent
def test_model_can_be_loaded(results):
    folder, scores, _ = results
    model = keras.saving.load_model(folder / "model.keras")
    unseen = unseen_batch(seed=3)
    filled = model.predict(unseen, verbose=0)
    assert mean_psnr(unseen, filled) == pytest.approx(scores["filled"], abs=1e-3)


@slow_if(keras.backend.backend() != "torch")
def test_equal_seeds_give_equal_losses(results, tmp_path):
    folder, _, _ = results
    run_quickstart(tmp_path / "same", seed=3, **SMALL)
    assert read_history(tmp_path / "same") == read_history(folder)
    images = [unseen_batch(seed)["image"] for seed in (3, 4)]
    assert (images[0] != images[1]).any()


@pytest.mark.backend_independent
def test_unseen_photos_are_not_trained_on():
    assert not set(TRAINING_PHOTOS) & set(UNSEEN_PHOTOS)


@pytest.mark.backend_independent
def test_crops():
    dataset = open_dataset(UNSEEN_PHOTOS, batch_size=2, steps_per_epoch=3)
    assert len(dataset) == 3
    batch = dataset[1]
    assert batch["image"].shape == (2, 128, 128, 3)
    assert batch["image"].min() >= -1
    assert batch["image"].max() <= 1
    for key in ("gray", "edge", "mask"):
        assert batch[key].shape == (2, 128, 128, 1)
    again = open_dataset(UNSEEN_PHOTOS, batch_size=2, steps_per_epoch=3)[1]
    for key, value in batch.items():
        np.testing.assert_array_equal(value, again[key])
    assert (dataset[0]["image"] != batch["image"]).any()
    dataset.on_epoch_end()
    assert (dataset[1]["image"] != batch["image"]).any()


def test_mean_psnr_by_hand():
    # An error of 0.2 of the range of 2 is a tenth of the peak, 20 dB.
    batch = {"image": np.zeros((1, 4, 4, 3), "float32")}
    assert mean_psnr(batch, np.full((1, 4, 4, 3), 0.2)) == pytest.approx(20)


@pytest.mark.backend_independent
def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="Received: epochs=0"):
        run_quickstart(tmp_path, epochs=0)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="`out` must be a folder. Received: out="):
        run_quickstart(tmp_path / "file")


@pytest.mark.backend_independent
def test_command_reports_errors_in_a_line(command, tmp_path):
    (tmp_path / "file").touch()
    code, _, stderr = command("quickstart", "--out", tmp_path / "file")
    assert code == 1
    assert "Error: `out` must be a folder." in stderr
    assert "Traceback" not in stderr


@pytest.mark.backend_independent
def test_command_requires_a_folder(command):
    code, _, stderr = command("quickstart")
    assert code == 2
    assert "--out" in stderr


@pytest.mark.slow
def test_command_keeps_its_promise(tmp_path):
    """As in the README: under 4 minutes, with losses shown and holes filled."""
    # The README promises it of the default backend; others run for two epochs.
    is_promised = keras.backend.backend() == "tensorflow"
    epochs = [] if is_promised else ["--epochs", "2"]
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", "from _keras_ctsdg_command import main; main()"]
        + ["quickstart", *epochs, "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    elapsed = time.monotonic() - start
    assert result.returncode == 0, result.stderr
    assert "generator_loss" in result.stdout
    assert "before_after.png" in result.stdout
    assert result.stderr == ""
    if is_promised:
        assert elapsed < 240
        first, *_, last = read_history(tmp_path / "out")
        assert float(last["val_hole"]) < 0.75 * float(first["val_hole"])
