import csv
import os
import signal

import keras
import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.training.callbacks import (
    FineTuning,
    GracefulInterrupt,
    ResumableCSVLogger,
    SampleGrid,
    Throughput,
)
from tests.common import random_batch, to_numpy
from tests.training.common import make_model

# === FineTuning ===


def moving_statistics(network):
    return [to_numpy(v.value) for v in network.weights if "/moving_" in v.path]


class RecordChanges(keras.callbacks.Callback):
    """Records whether the generator's moving statistics, its scales and the
    discriminator's moving statistics changed in each epoch."""

    def __init__(self):
        super().__init__()
        self.changes = []
        self.functions = []

    def on_epoch_begin(self, epoch, logs=None):
        # What is kept alive, JAX may use again.
        self.functions.append(self.model.train_function)
        self.before = self.read_groups()

    def on_epoch_end(self, epoch, logs=None):
        groups = zip(self.before, self.read_groups(), strict=True)
        self.changes.append(
            [
                any((x != y).any() for x, y in zip(*group, strict=True))
                for group in groups
            ]
        )

    def read_groups(self):
        generator = self.model.generator
        scales = [
            to_numpy(v.value)
            for v in generator.trainable_variables
            if "/gamma" in v.path
        ]
        return (
            moving_statistics(generator),
            scales,
            moving_statistics(self.model.discriminator),
        )


def test_fine_tuning_freezes_statistics_and_trains_the_rest():
    model = make_model()
    recorder = RecordChanges()
    callbacks = [FineTuning(1, 4e-5), recorder]
    model.fit(random_batch(2), epochs=3, verbose=0, callbacks=callbacks)
    assert recorder.changes == [[True, True, True]] + 2 * [[False, True, True]]
    rates = [
        float(to_numpy(optimizer.learning_rate.value))
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer)
    ]
    assert rates == pytest.approx([4e-5, 4e-6])
    assert FineTuning(1, 4e-5, 1e-5).discriminator_learning_rate == 1e-5


@pytest.mark.backend_independent
def test_freezing_is_saved(tmp_path):
    make_model(freeze_batch_norm=True).save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").freeze_batch_norm
    assert not make_model().freeze_batch_norm


# === SampleGrid ===


def test_sample_grid_is_written(small_model, tmp_path):
    batch = random_batch(2)
    folder = tmp_path / "new"
    callback = SampleGrid(folder, batch, every=2)
    callback.set_model(small_model)
    for epoch in range(4):
        callback.on_epoch_end(epoch)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["epoch_0002.png", "epoch_0004.png"]
    with Image.open(folder / names[0]) as grid:
        assert grid.size == (3 * 136 + 8, 2 * 136 + 20)
        target = np.asarray(grid)[20:148, 8 + 2 * 136 : 136 + 2 * 136]
    expected = np.rint((batch["image"][0] + 1) * 127.5)
    np.testing.assert_array_equal(target, expected)
    with pytest.raises(ValueError, match="Received: every=0"):
        SampleGrid(tmp_path, batch, every=0)
    with pytest.raises(ValueError, match="divide by 255"):
        SampleGrid(tmp_path, batch | {"mask": 255 * batch["mask"]})


# === Throughput ===


def test_throughput_leaves_out_the_first_step(monkeypatch):
    clock = iter([10.0, 12.0, 14.0, 20.0, 21.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    callback = Throughput(batch_size=6)
    callback.on_epoch_begin(0)
    rates = []
    for i in range(3):
        logs = {"loss": 1.0}
        callback.on_train_batch_end(i, logs)
        rates.append(logs.get("images_per_second"))
    assert rates == [None, 3.0, 3.0]
    callback.on_epoch_begin(1)
    logs = {"loss": 1.0}
    callback.on_train_batch_end(0, logs)
    callback.on_epoch_end(1, logs)
    assert logs["images_per_second"] == 6.0


def test_throughput_leaves_out_steps_of_an_earlier_run(monkeypatch):
    clock = iter([10.0, 10.1, 20.0, 21.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    callback = Throughput(batch_size=6)
    callback.on_epoch_begin(0)
    for batch in range(2):
        callback.on_train_batch_end(batch, {})
    # The first that is computed includes the compilation.
    callback.on_train_batch_end(2, {"loss": 1.0})
    logs = {"loss": 1.0}
    callback.on_train_batch_end(3, logs)
    assert logs["images_per_second"] == 6.0


def test_throughput_counts_steps_that_are_executed_at_once(monkeypatch):
    clock = iter([10.0, 12.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    callback = Throughput(batch_size=6)
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(3, {"loss": 1.0})
    logs = {"loss": 1.0}
    callback.on_train_batch_end(7, logs)
    assert logs["images_per_second"] == 12.0


@pytest.mark.backend_independent
def test_throughput_is_in_the_history(small_model):
    history = small_model.fit(
        random_batch(4), batch_size=2, verbose=0, callbacks=[Throughput(2)]
    ).history
    assert 0 < history["images_per_second"][0] < 1000


# === ResumableCSVLogger ===


def write_epochs(path, epochs, loss):
    """Call the callback as `fit` does, and return the rows of its file."""
    logger = ResumableCSVLogger(path)
    logger.on_train_begin()
    for epoch in epochs:
        logger.on_epoch_begin(epoch)
        logger.on_epoch_end(epoch, {"loss": loss, "val_loss": loss})
    logger.on_train_end()
    with open(path, newline="") as file:
        return [(row["epoch"], row["loss"]) for row in csv.DictReader(file)]


def test_logger_writes_each_epoch_of_a_resumed_training_once(tmp_path):
    path = tmp_path / "history.csv"
    write_epochs(path, range(3), 1.0)
    # A training that was interrupted while it saved epoch 2 repeats that epoch.
    rows = write_epochs(path, range(2, 4), 0.5)
    assert rows == [("0", "1.0"), ("1", "1.0"), ("2", "0.5"), ("3", "0.5")]
    assert write_epochs(path, [], 2.0) == rows
    assert write_epochs(path, range(1), 2.0) == [("0", "2.0")]


HISTORY = "epoch,loss,val_loss\r\n0,1.0,1.0\r\n1,1.0,1.0\r\n"


@pytest.mark.parametrize(
    "damaged",
    [
        HISTORY + "\r\n",
        "\r\n\r\n" + HISTORY,
        HISTORY + "2,1.0,1",
        HISTORY + "2,1.0\r\n",
        HISTORY + "2",
        HISTORY + "2\0\0\0\0",
        HISTORY + "\0\0\0\r\n\0",
        HISTORY + HISTORY.partition("0,")[0],
        HISTORY + "one,1.0,1.0\r\n",
        HISTORY.encode() + b"\xff\xfe\r\n",
        HISTORY.replace("\r\n0", "\r\n\r\n0"),
    ],
)
def test_damaged_lines_do_not_stop_a_training(tmp_path, damaged):
    path = tmp_path / "history.csv"
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    with pytest.warns(UserWarning, match="lines of .*history.csv are left out"):
        rows = write_epochs(path, range(2, 4), 0.5)
    assert rows == [("0", "1.0"), ("1", "1.0"), ("2", "0.5"), ("3", "0.5")]


@pytest.mark.parametrize("content", ["", "\r\n", "oss,val_loss\r\n0,1.0,1.0\r\n"])
def test_history_without_a_header_is_kept_aside(tmp_path, content):
    path = tmp_path / "history.csv"
    path.write_text(content, newline="")
    assert write_epochs(path, range(2, 3), 0.5) == [("2", "0.5")]
    kept = path.with_name("history.csv.damaged")
    assert (kept.read_bytes().decode() if kept.exists() else "") == content


def test_new_logs_get_columns_of_their_own(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss\r\n0,1.0\r\n", newline="")
    write_epochs(path, range(1, 2), 0.5)
    assert path.read_text() == "epoch,loss,val_loss\n0,1.0,NA\n1,0.5,0.5\n"


# === GracefulInterrupt ===


class PressCtrlC(keras.callbacks.Callback):
    def __init__(self, times=1):
        super().__init__()
        self.times = times
        self.finished_batches = []

    def on_train_batch_begin(self, batch, logs=None):
        for _ in range(self.times):
            os.kill(os.getpid(), signal.SIGINT)

    def on_train_batch_end(self, batch, logs=None):
        self.finished_batches.append(batch)


@pytest.mark.parametrize(("times", "finished"), [(1, [0]), (2, [])])
def test_interrupt_waits_for_the_step(small_model, times, finished, capsys):
    before = signal.getsignal(signal.SIGINT)
    ctrl_c = PressCtrlC(times)
    with pytest.raises(KeyboardInterrupt), GracefulInterrupt() as interrupt:
        callbacks = [interrupt, ctrl_c]
        small_model.fit(random_batch(4), batch_size=2, verbose=0, callbacks=callbacks)
    assert ctrl_c.finished_batches == finished
    assert "Stopping after this step" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before
