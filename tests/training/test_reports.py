"""What a person sees of a training: a line, event files, tables and curves."""

import csv
import io
import itertools

import keras
import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.training.callbacks import (
    HistoryPlot,
    MaskRatioValidation,
    ProgressLine,
    TensorBoardLogger,
)
from keras_ctsdg.training.progress_line import format_duration
from tests.common import random_batch

LOGS = {
    "generator_loss": 123.456,
    "discriminator_loss": 2.5,
    "images_per_second": 12.34,
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def go_through(callback, epochs=2, steps=3, first_batch=0, model=None, logs=LOGS):
    """Call the methods of a callback as `fit` does."""
    callback.set_params({"epochs": epochs, "steps": steps})
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(epochs):
        callback.on_epoch_begin(epoch)
        for batch in range(steps):
            callback.on_train_batch_begin(batch)
            made_before = epoch == 0 and batch < first_batch
            callback.on_train_batch_end(batch, {} if made_before else dict(logs))
        callback.on_epoch_end(epoch, dict(logs))
    callback.on_train_end()


@pytest.fixture
def clock(monkeypatch):
    """A clock by which 60 seconds pass between two looks at it."""
    times = itertools.count(0, 60)
    monkeypatch.setattr("time.monotonic", lambda: next(times))


@pytest.mark.backend_independent
def test_log_file_has_a_line_for_each_epoch():
    stream = io.StringIO()
    go_through(ProgressLine(stream), epochs=2)
    first, second = stream.getvalue().splitlines()
    assert first.startswith("epoch 1/2 | G 123.5 D 2.5 | 12.3 images/s | 0:00:00 left")
    assert second.startswith("epoch 2/2 | G 123.5 D 2.5")


@pytest.mark.backend_independent
def test_long_epoch_has_more_lines(clock):
    stream = io.StringIO()
    go_through(ProgressLine(stream), epochs=1, steps=30)
    *steps, end = stream.getvalue().splitlines()
    assert 2 <= len(steps) < 10
    assert steps[0].startswith("epoch 1/1 ") and "/30 | G" in steps[0]
    assert end.startswith("epoch 1/1 | ") and end.endswith("0:00:00 left")


@pytest.mark.backend_independent
def test_line_of_a_terminal_is_updated_and_fits(clock, monkeypatch):
    stream = Terminal()
    monkeypatch.setenv("COLUMNS", "80")
    logs = LOGS | {"val_psnr": 30.25, "bad_steps": 2, "hole": 1.0}
    go_through(ProgressLine(stream), epochs=500, steps=10, logs=logs)
    text = stream.getvalue()
    updates = text.split("\r")[1:]
    assert all(len(update.rstrip("\n")) == 79 for update in updates)
    assert text.count("\n") == 500
    assert "epoch 100/500 5/10 | G 123.5 D 2.5 | PSNR 30.25 | 2 bad steps" in text
    # Without these two, everything fits.
    stream = Terminal()
    go_through(ProgressLine(stream), epochs=500, steps=10)
    assert all("left" in update for update in stream.getvalue().split("\r")[3:])


@pytest.mark.backend_independent
def test_steps_that_are_gone_through_do_not_count(clock):
    stream = io.StringIO()
    go_through(ProgressLine(stream), epochs=1, steps=30, first_batch=20)
    lines = stream.getvalue().splitlines()
    assert not any(line.startswith("epoch 1/1 1/") for line in lines)
    assert "left" in lines[-1]
    assert format_duration(59.6) == "0:01:00"
    assert format_duration(90061) == "1 d 1:01:01"


@pytest.mark.backend_independent
def test_history_is_drawn(tmp_path):
    rows = [
        "epoch,generator_loss,hole,val_psnr",
        "0,10.0,1,20",
        "1,5.0,nan,NA",
        "2,x,,",
    ]
    (tmp_path / "history.csv").write_text("\n".join(rows) + "\n")
    plot = HistoryPlot(tmp_path / "history.csv", tmp_path / "history.png")
    plot.on_epoch_end(2)
    with Image.open(tmp_path / "history.png") as image:
        levels = np.asarray(image.convert("RGB"))
    assert levels.shape[1] == 1000 and len(np.unique(levels.reshape(-1, 3), axis=0)) > 9
    (tmp_path / "history.csv").write_text("epoch\n")
    plot.on_epoch_end(0)
    HistoryPlot(tmp_path / "missing.csv", tmp_path / "none.png").on_epoch_end(0)
    assert not (tmp_path / "none.png").exists()


class Evaluated:
    """A model whose evaluations are counted."""

    optimizer, metrics_variables, steps_per_execution = None, (), 1

    def __init__(self, monkeypatch):
        self.calls = 0
        name = "keras_ctsdg.training.resumption"
        monkeypatch.setattr(f"{name}.read_sums", lambda model: None)
        monkeypatch.setattr(f"{name}.assign_sums", lambda model, sums: None)

    def evaluate(self, data, verbose, return_dict):
        self.calls += 1
        return {"psnr": 20.0 + self.calls, "psnr_0_20": 30.0}


def read_rows(path):
    with open(path, newline="") as file:
        return [(int(row["step"]), float(row["psnr"])) for row in csv.DictReader(file)]


@pytest.mark.backend_independent
def test_validation_after_chosen_steps(tmp_path, monkeypatch):
    path, reported = tmp_path / "validation.csv", []
    callback = MaskRatioValidation(
        None, 4, path, lambda step, scores: reported.append((step, scores["psnr"]))
    )
    go_through(callback, epochs=3, steps=3, model=Evaluated(monkeypatch))
    assert read_rows(path) == reported == [(4, 21.0), (8, 22.0)]
    callback = MaskRatioValidation(None, filename=path)
    go_through(callback, epochs=2, steps=3, model=Evaluated(monkeypatch))
    assert read_rows(path) == [(3, 21.0), (6, 22.0)]
    with pytest.raises(ValueError, match="every=0"):
        MaskRatioValidation(None, 0)


@pytest.mark.backend_independent
def test_resumed_training_validates_once(monkeypatch):
    callback = MaskRatioValidation(None, 2)
    callback.set_model(Evaluated(monkeypatch))
    callback.set_params({"steps": 6})
    callback.on_train_begin()
    callback.set_state(3)
    callback.on_epoch_begin(0)
    for batch in range(6):
        callback.on_train_batch_begin(batch)
    callback.on_epoch_end(0)
    assert [row["step"] for row in callback.results] == [4, 6]


def read_events(folder):
    accumulators = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    events = accumulators.EventAccumulator(str(folder), {"images": 0, "scalars": 0})
    events.Reload()
    return events


@pytest.mark.backend_independent
def test_event_files_are_read_by_tensorboard(small_model, tmp_path):
    pytest.importorskip("tensorboardX")
    data = {key: np.repeat(x, 2, 0) for key, x in random_batch(1).items()}
    del data["edge"], data["gray"]
    logger = TensorBoardLogger(tmp_path, data, every=1)
    history = small_model.fit(data, batch_size=1, verbose=0, callbacks=[logger]).history
    events = read_events(tmp_path)
    loss = events.Scalars("training/generator_loss")
    assert [(x.step, x.value) for x in loss] == [
        (2, pytest.approx(history["generator_loss"][0]))
    ]
    images = events.Images("samples")
    assert [x.step for x in images] == [1, 2]
    grid = np.asarray(Image.open(io.BytesIO(images[-1].encoded_image_string)))
    assert grid.shape == (20 + 2 * 136, 8 + 4 * 136, 3)


def test_validation_leaves_the_epoch_as_it_is(small_model):
    data = random_batch(2)
    keras.utils.set_random_seed(1)
    validate = MaskRatioValidation(data, every=1)
    state = [(v, keras.ops.convert_to_numpy(v.value)) for v in small_model.variables]
    history = small_model.fit(
        {key: np.repeat(x, 2, 0) for key, x in data.items()},
        batch_size=2,
        verbose=0,
        callbacks=[validate],
    ).history
    assert len(validate.results) == 2 and "psnr_0_20" in validate.results[0]
    trained = small_model.get_weights()
    for variable, value in state:
        variable.assign(value)
    assert "bad_steps" not in history and len(history["loss"]) == 1
    assert any((x != y).any() for x, (_, y) in zip(trained, state, strict=True))
