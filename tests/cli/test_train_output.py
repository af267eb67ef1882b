import errno

import pytest
import typer

from keras_ctsdg.cli._stops import explained_stops
from keras_ctsdg.cli._train_options import TrainOptions
from keras_ctsdg.cli._train_output import (
    check_output,
    copy_best,
    make_checkpoint,
    prepare_output,
)
from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.training.callbacks import TrainingCheckpoint
from keras_ctsdg.training.checkpoint_files import MODEL, Position, write_checkpoint
from tests.data.common import gray_images
from tests.training.test_checkpoint_files import write_model

pytestmark = pytest.mark.backend_independent


def write(out, epoch, step=0, monitored=None):
    manifest = {"epoch": epoch, "monitored": monitored}
    folder = out / "checkpoints"
    return write_checkpoint(folder, Position(epoch, step), write_model, {}, manifest)


def test_a_finished_training_is_replaced_on_demand_only(tmp_path):
    check_output(tmp_path / "new", False, 2)
    write(tmp_path, 1, 5)
    check_output(tmp_path, False, 2)
    # It was killed after the last epoch, and before its result was written.
    last = write(tmp_path, 2)
    check_output(tmp_path, False, 2)
    (tmp_path / MODEL).touch()
    (tmp_path / "best.keras").touch()
    with pytest.raises(ValueError, match="finished training, unless with --overwrite"):
        check_output(tmp_path, False, 2)
    # With more steps it goes on.
    check_output(tmp_path, False, 3)
    prepare_output(tmp_path, 3)
    assert last.exists()
    check_output(tmp_path, True, 2)
    prepare_output(tmp_path, 2)
    assert not list(tmp_path.iterdir())


def test_a_training_of_an_earlier_version_is_named(command, tmp_path):
    (tmp_path / "backup").mkdir()
    arguments = ("train", "--images", tmp_path, "--out", tmp_path, "--vgg", "none")
    code, _, stderr = command(*arguments)
    assert code == 1
    assert "--out must not hold a training of an earlier version" in stderr
    assert "--from" in stderr
    assert len(stderr.splitlines()) == 1


def test_only_what_decides_a_training_is_compared(tmp_path):
    validation = InpaintingDataset(gray_images(0), image_size=128, shuffle=False)
    options = TrainOptions(images=tmp_path, workers=7, from_preset="celeba")
    checkpoint = make_checkpoint(tmp_path, options, validation, True)
    assert checkpoint.accept_changes
    assert checkpoint.every == 500
    for name, value in (("--learning-rate", 2e-4), ("--from", "celeba"), ("--seed", 0)):
        assert checkpoint.options[name] == value
    for name in ("--images", "--workers", "--steps", "--checkpoint-every"):
        assert name not in checkpoint.options
    assert checkpoint.options["validation.images"].startswith("1 files")


def test_the_best_is_copied_and_named(tmp_path):
    checkpoint = TrainingCheckpoint(tmp_path / "checkpoints")
    assert copy_best(tmp_path, checkpoint) == ""
    checkpoint.best, checkpoint.best_value = write(tmp_path, 7, monitored=21.5), 21.5
    text = copy_best(tmp_path, checkpoint)
    assert text == "; best.keras is of epoch 7, whose val_psnr is 21.50"
    copied = (tmp_path / "best.keras").read_bytes()
    assert copied == (checkpoint.best / MODEL).read_bytes()
    (checkpoint.best / MODEL).write_bytes(b"")
    with pytest.warns(UserWarning, match="is passed over: model.keras is not what"):
        assert copy_best(tmp_path, checkpoint) == ""


def test_stops_are_explained(tmp_path, capsys):
    checkpoint = TrainingCheckpoint(tmp_path)
    with pytest.raises(typer.Exit) as stopped:
        with explained_stops(tmp_path, checkpoint) as interrupt:
            interrupt.signal = 15
            raise KeyboardInterrupt
    assert stopped.value.exit_code == 143
    assert "no checkpoint has been written yet. Run the same" in capsys.readouterr().err
    checkpoint.latest = tmp_path / "epoch_0001_step_000000"
    for number, message in (
        (errno.ENOSPC, "No space left on device: .*when there is room; the newest ch"),
        (errno.EROFS, "Read-only file system: .*when it can be written to"),
    ):
        with pytest.raises(OSError, match=message):
            with explained_stops(tmp_path, checkpoint):
                raise OSError(number, "", str(tmp_path / "history.csv"))
    for error in (OSError(errno.ENOENT, "No file"), ValueError("Other")):
        with pytest.raises(type(error), match=str(error.args[-1])):
            with explained_stops(tmp_path, checkpoint):
                raise error
