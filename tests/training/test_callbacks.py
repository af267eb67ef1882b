import csv
import os
import signal

import keras
import numpy as np
import pytest
from PIL import Image

import keras_ctsdg
from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.training.callbacks import (
    FineTuning,
    GracefulInterrupt,
    ResumableCSVLogger,
    SampleGrid,
    Throughput,
)
from tests.common import TRACES, random_batch, to_numpy


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    model = keras_ctsdg.CTSDG(Generator(filters=8), Discriminator(filters=8))
    compile_quietly(model)
    return model


def compile_quietly(model, **kwargs):
    with pytest.warns(UserWarning, match="without the perceptual"):
        model.compile(run_eagerly=TRACES, **kwargs)


def statistics(network):
    return [to_numpy(v.value) for v in network.weights if "/moving_" in v.path]


class Watch(keras.callbacks.Callback):
    """What moved in each epoch."""

    def __init__(self):
        super().__init__()
        self.moved = []

    def on_epoch_begin(self, epoch, logs=None):
        self.before = self.look()

    def on_epoch_end(self, epoch, logs=None):
        pairs = zip(self.before, self.look(), strict=True)
        self.moved.append(
            [any((x != y).any() for x, y in zip(*pair, strict=True)) for pair in pairs]
        )

    def look(self):
        generator = self.model.generator
        scales = [
            to_numpy(v.value)
            for v in generator.trainable_variables
            if "/gamma" in v.path
        ]
        return statistics(generator), scales, statistics(self.model.discriminator)


def test_fine_tuning_keeps_statistics_and_trains_the_rest(model):
    watch = Watch()
    model.fit(
        random_batch(2), epochs=3, verbose=0, callbacks=[FineTuning(1, 4e-5), watch]
    )
    assert watch.moved == [[True, True, True], [False, True, True], [False, True, True]]
    rates = [
        float(to_numpy(optimizer.learning_rate.value))
        for optimizer in (model.generator_optimizer, model.discriminator_optimizer)
    ]
    assert rates == pytest.approx([4e-5, 4e-6])
    assert FineTuning(1, 4e-5, 1e-5).discriminator_learning_rate == 1e-5


def test_freezing_is_saved(model, tmp_path):
    compile_quietly(model, freeze_batch_norm=True)
    model.save(tmp_path / "model.keras")
    revived = keras.saving.load_model(tmp_path / "model.keras")
    assert revived.freeze_batch_norm
    compile_quietly(model)
    assert not model.freeze_batch_norm


def test_fine_tuning_refuses_bad_arguments():
    with pytest.raises(ValueError, match="Received: start_epoch=-1"):
        FineTuning(-1)


def test_sheets(model, tmp_path):
    batch = random_batch(2)
    model.fit(
        random_batch(2),
        epochs=4,
        verbose=0,
        callbacks=[SampleGrid(tmp_path / "new", batch, every=2)],
    )
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["epoch_0002.png", "epoch_0004.png"]
    with Image.open(tmp_path / "new" / names[0]) as sheet:
        assert sheet.size == (3 * 136 + 8, 2 * 136 + 20)
        truth = np.asarray(sheet)[20:148, 8 + 2 * 136 : 136 + 2 * 136]
    expected = np.rint((batch["image"][0] + 1) * 127.5)
    np.testing.assert_array_equal(truth, expected)
    with pytest.raises(ValueError, match="Received: every=0"):
        SampleGrid(tmp_path, batch, every=0)


def test_throughput_leaves_out_the_first_step(monkeypatch):
    clock = iter([10.0, 12.0, 14.0, 20.0, 21.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    callback = Throughput(batch_size=6)
    callback.on_epoch_begin(0)
    shown = []
    for i in range(3):
        logs = {}
        callback.on_train_batch_end(i, logs)
        shown.append(logs.get("images_per_second"))
    assert shown == [None, 3.0, 3.0]
    callback.on_epoch_begin(1)
    logs = {}
    callback.on_train_batch_end(0, logs)
    callback.on_epoch_end(1, logs)
    assert logs == {"images_per_second": 6.0}


def test_throughput_counts_steps_that_are_executed_at_once(monkeypatch):
    clock = iter([10.0, 12.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    callback = Throughput(batch_size=6)
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(3, {})
    logs = {}
    callback.on_train_batch_end(7, logs)
    assert logs == {"images_per_second": 12.0}


def test_throughput_is_in_the_history(model):
    history = model.fit(
        random_batch(4), batch_size=1, verbose=0, callbacks=[Throughput(1)]
    ).history
    assert 0 < history["images_per_second"][0] < 1000


def write_epochs(path, epochs, loss):
    """What `fit` has a callback do, without the steps."""
    history = ResumableCSVLogger(path)
    history.on_train_begin()
    for epoch in epochs:
        history.on_epoch_begin(epoch)
        history.on_epoch_end(epoch, {"loss": loss, "val_loss": loss})
    history.on_train_end()
    with open(path, newline="") as file:
        return [(row["epoch"], row["loss"]) for row in csv.DictReader(file)]


def test_history_of_a_resumed_training_has_each_epoch_once(tmp_path):
    path = tmp_path / "history.csv"
    write_epochs(path, range(3), 1.0)
    # Epoch 2 was written, but not all of its files were.
    rows = write_epochs(path, range(2, 4), 0.5)
    assert rows == [("0", "1.0"), ("1", "1.0"), ("2", "0.5"), ("3", "0.5")]
    assert write_epochs(path, [], 2.0) == rows
    assert write_epochs(path, range(1), 2.0) == [("0", "2.0")]


class CtrlC(keras.callbacks.Callback):
    def __init__(self, times=1):
        super().__init__()
        self.times = times
        self.ended = []

    def on_train_batch_begin(self, batch, logs=None):
        for _ in range(self.times):
            os.kill(os.getpid(), signal.SIGINT)

    def on_train_batch_end(self, batch, logs=None):
        self.ended.append(batch)


@pytest.mark.parametrize(("times", "ended"), [(1, [0]), (2, [])])
def test_interrupt_waits_for_the_step(model, times, ended, capsys):
    before = signal.getsignal(signal.SIGINT)
    pressed = CtrlC(times)
    with pytest.raises(KeyboardInterrupt), GracefulInterrupt() as interrupt:
        callbacks = [pressed, interrupt]
        model.fit(random_batch(2), batch_size=1, verbose=0, callbacks=callbacks)
    assert pressed.ended == ended
    assert "Stopping after this step" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before
