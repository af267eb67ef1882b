import json
import math
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.training.callbacks import (
    GracefulInterrupt,
    ResumableCSVLogger,
    Throughput,
    TrainingCheckpoint,
)
from keras_ctsdg.training.checkpoint_files import (
    Position,
    find_checkpoints,
    lock_folder,
)
from keras_ctsdg.training.checkpoint_loading import find_newest
from tests.common import random_batch, to_numpy
from tests.data.common import gray_images
from tests.training.common import read_state, restore_state
from tests.training.test_checkpoint_files import write_model

BATCH = {"batch_size": 1, "image_size": 128}


class Killed(Exception):
    """Ends a training as a kill would: nothing is saved."""


class Steps(keras.callbacks.Callback):
    """Records the loss of each step, and acts in one of them.

    Args:
        index: Int, the step, counted from 1, at whose end `act` is called.
        act: Function without arguments.
    """

    def __init__(self, index=0, act=None):
        super().__init__()
        self.losses, self.index, self.act = {}, index, act

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if logs:
            self.losses[self.epoch, batch] = logs["loss"]
        if len(self.losses) == self.index and logs:
            self.act()


def kill():
    raise Killed


class CountedDataset(InpaintingDataset):
    """A data set that lists the batches that were loaded."""

    loaded = ()

    def __getitem__(self, index):
        self.loaded = (*self.loaded, index)
        return super().__getitem__(index)


def train(model, folder, *callbacks, epochs=1, images=3, dataset=None, **kwargs):
    if dataset is None:
        dataset = InpaintingDataset(gray_images(*range(0, 20 * images, 20)), **BATCH)
    checkpoint = TrainingCheckpoint(folder / "checkpoints", every=1, **kwargs)
    history = model.fit(
        dataset, epochs=epochs, verbose=0, callbacks=[checkpoint, *callbacks]
    ).history
    return checkpoint, history


def names(folder):
    found = find_checkpoints(folder / "checkpoints")
    return [path.name for _, path in reversed(found)]


def read_values(model):
    return [value for _, value in read_state(model)]


def test_a_training_goes_on_in_the_midst_of_an_epoch(small_model, tmp_path):
    """Kill a training in its second step, and compare it with one that was not."""
    initial = read_state(small_model)
    whole = Steps()
    _, expected = train(small_model, tmp_path / "whole", whole)
    expected_values = read_values(small_model)
    restore_state(initial)
    with pytest.raises(Killed):
        train(small_model, tmp_path, Steps(2, kill))
    assert names(tmp_path) == ["epoch_0000_step_000001"]
    restore_state(initial)
    resumed, throughput = Steps(), Throughput(1)
    dataset = CountedDataset(gray_images(0, 20, 40), **BATCH)
    logger = ResumableCSVLogger(tmp_path / "history.csv")
    checkpoint, history = train(
        small_model, tmp_path, resumed, throughput, logger, dataset=dataset
    )
    assert resumed.losses == {k: v for k, v in whole.losses.items() if k[1] > 0}
    assert history.pop("images_per_second")[0] > 0
    assert history == expected
    for value, other in zip(read_values(small_model), expected_values, strict=True):
        np.testing.assert_array_equal(value, other)
    # Keras looks at the first batches on its own, and the last are loaded once.
    assert dataset.loaded.count(2) == 1
    assert checkpoint.latest.name == "epoch_0001_step_000000"
    assert (tmp_path / "history.csv").read_text().startswith("epoch,")
    # There is nothing left to do, and the callback says where the result is.
    checkpoint, history = train(small_model, tmp_path)
    assert history == {}
    assert checkpoint.latest.name == "epoch_0001_step_000000"


@pytest.mark.backend_independent
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_after_the_step(small_model, tmp_path, number, capsys):
    # Under `nohup` it would be ignored, here as in a training.
    before = signal.signal(number, signal.default_int_handler)
    try:
        stop_and_check(small_model, tmp_path, number, capsys)
    finally:
        signal.signal(number, before)


def stop_and_check(small_model, tmp_path, number, capsys):
    stop = Steps(1, lambda: os.kill(os.getpid(), number))
    with pytest.raises(KeyboardInterrupt), GracefulInterrupt() as interrupt:
        train(small_model, tmp_path, interrupt, stop)
    assert interrupt.signal == number
    assert list(stop.losses) == [(0, 0)]
    assert names(tmp_path) == ["epoch_0000_step_000001"]
    assert "Stopping after this step" in capsys.readouterr().err
    assert signal.getsignal(number) != interrupt._request_stop


class StopInValidation(keras.callbacks.Callback):
    def on_test_begin(self, logs=None):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.backend_independent
def test_a_signal_in_a_validation_saves_the_epoch(small_model, tmp_path):
    """The logs of the epoch are those of its steps, which are not made again."""

    def fit(folder, *callbacks):
        dataset = InpaintingDataset(gray_images(20), **BATCH)
        checkpoint = TrainingCheckpoint(folder)
        return small_model.fit(
            dataset,
            validation_data=random_batch(1),
            verbose=0,
            callbacks=[checkpoint, *callbacks],
        ).history

    initial = read_state(small_model)
    expected = fit(tmp_path / "whole")
    restore_state(initial)
    with pytest.raises(KeyboardInterrupt), GracefulInterrupt() as interrupt:
        fit(tmp_path / "stopped", StopInValidation(), interrupt)
    ((_, path),) = find_checkpoints(tmp_path / "stopped")
    assert path.name == "epoch_0000_step_000001"
    restore_state(initial)
    resumed = Steps()
    assert fit(tmp_path / "stopped", resumed) == expected
    assert len(expected["val_psnr"]) == 1
    manifest = find_newest(tmp_path / "stopped")[0].manifest
    assert manifest["monitored"] == expected["val_psnr"][0]
    assert (manifest["step"], manifest["epoch"]) == (1, 1)


@pytest.mark.backend_independent
def test_another_training_is_refused(small_model, tmp_path, monkeypatch):
    options = {"--batch-size": 1, "--filters": 4}
    train(small_model, tmp_path, images=1, options=options)
    state = read_values(small_model)
    for changed, message in (
        ({"options": options | {"--batch-size": 2}}, "--batch-size was 1 and is 2, in"),
        ({"images": 2}, "dataset.images was 1 files, names .* and is 2 files"),
        (
            {"dataset": InpaintingDataset(gray_images(0), **BATCH, seed=7)},
            "dataset.seed was 0 and is 7",
        ),
    ):
        arguments = {"options": options, "images": 1, **changed}
        with pytest.raises(ValueError, match=f"Received: .*{message}"):
            train(small_model, tmp_path, **arguments)
    other = small_model.compiled_options | {"generator_optimizer.learning_rate": 0.5}
    monkeypatch.setattr(small_model, "compiled_options", other)
    with pytest.raises(ValueError, match="generator_optimizer.learning_rate was 0.00"):
        train(small_model, tmp_path, images=1, options=options)
    for value, expected in zip(read_values(small_model), state, strict=True):
        np.testing.assert_array_equal(value, expected)
    options["--batch-size"] = 2
    accept = {"options": options, "accept_changes": True}
    checkpoint, _ = train(small_model, tmp_path, images=1, epochs=2, **accept)
    assert float(to_numpy(small_model.generator_optimizer.learning_rate)) == 0.5
    manifest = json.loads((checkpoint.latest / "manifest.json").read_text())
    assert manifest["options"]["--batch-size"] == 2
    assert manifest["step"] == 2


@pytest.mark.backend_independent
def test_the_best_and_the_newest_are_known(small_model, tmp_path, monkeypatch):
    monkeypatch.setattr(small_model, "save", write_model)
    checkpoint = TrainingCheckpoint(tmp_path / "checkpoints", 100, keep=2, mode="max")

    def fit(values):
        arguments = {"callbacks": [checkpoint]}
        checkpoint.set_params({"epochs": 6, "steps": 40})
        checkpoint.set_model(small_model)
        first = checkpoint.resume(small_model, None, arguments)
        for epoch, value in enumerate(values, first):
            checkpoint.on_epoch_begin(epoch)
            for batch in range(40):
                checkpoint.on_train_batch_begin(batch)
            checkpoint.on_epoch_end(epoch, {"val_psnr": value})
        checkpoint.end()

    fit([20.0, 30.0, math.nan, 25.0, 26.0, 27.0])
    # The best at 80 steps, and then one every 100 steps and at the end.
    assert names(tmp_path) == [
        "epoch_0002_step_000000",
        "epoch_0004_step_000020",
        "epoch_0006_step_000000",
    ]
    best = tmp_path / "checkpoints" / "epoch_0002_step_000000"
    assert (checkpoint.best, checkpoint.best_value) == (best, 30.0)
    checkpoint.mode = "min"
    assert checkpoint._is_better(29.0)


@pytest.mark.backend_independent
def test_a_folder_is_used_by_one_process(tmp_path):
    code = "import fcntl, sys; file = open(sys.argv[1], 'w'); "
    code += "fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); input()"
    command = [sys.executable, "-c", code, tmp_path / ".lock"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        process.stdout.readline()
        with pytest.raises(ValueError, match="in use by another.*Received: folder="):
            lock_folder(tmp_path)
        process.communicate("\n")
    lock_folder(tmp_path).close()


@pytest.mark.backend_independent
def test_weights_that_are_not_finite_are_not_saved(small_model, tmp_path):
    def ruin():
        variable = small_model.generator.trainable_variables[0]
        variable.assign(np.full(variable.shape, np.nan))

    with pytest.raises(ValueError, match="must be finite to be saved"):
        train(small_model, tmp_path, Steps(2, ruin))
    assert names(tmp_path) == ["epoch_0000_step_000001"]


@pytest.mark.backend_independent
def test_bad_arguments(small_model, tmp_path):
    for arguments in ({"every": 0}, {"keep": 0}, {"mode": "best"}):
        with pytest.raises(ValueError, match=f"Received: {list(arguments)[0]}="):
            TrainingCheckpoint(tmp_path, **arguments)
    with pytest.raises(ValueError, match="at most one.*Received: callbacks with 2"):
        train(small_model, tmp_path, TrainingCheckpoint(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="`folder` must be a folder"):
        train(small_model, tmp_path / "file")


@pytest.mark.backend_independent
def test_a_process_that_writes_nothing_knows_the_best(small_model, tmp_path):
    checkpoint = TrainingCheckpoint(tmp_path / "none")
    checkpoint.set_model(small_model)
    checkpoint.is_writer = False
    checkpoint._save(Position(1, 0), 3, monitored=30.0)
    assert not checkpoint._is_better(29.0)
    assert not (tmp_path / "none").exists()
