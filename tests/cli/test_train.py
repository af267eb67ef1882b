import csv
import signal
import time

import keras
import numpy as np
import pytest

from keras_ctsdg import CTSDG
from keras_ctsdg.cli import message_within
from tests.common import TRACES, finish, start_command, start_python
from tests.data.common import write_celeba

SMALL = ("--image-size", 128, "--filters", 8, "--batch-size", 1, "--vgg", "none")

# Minutes each, and made of nothing that is not tested on each backend elsewhere.
only_once = pytest.mark.skipif(not TRACES, reason="runs on the default backend")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_celeba(tmp_path_factory.mktemp("celeba"))


def read_history(out):
    with open(out / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.large
def test_interrupted_training_goes_on(root, tmp_path):
    """Both stages on CelebA, stopped in the second epoch and called again."""
    out = tmp_path / "out"
    arguments = ("--celeba", root, "--out", out, *SMALL, "--steps", 4)
    arguments += ("--fine-tuning-steps", 2, "--steps-per-epoch", 2)
    process = start_command("train", *arguments)
    while not (out / "samples" / "epoch_0001.png").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    code, _, stderr = finish(process)
    assert code == 130
    assert "goes on" in stderr
    assert "Traceback" not in stderr
    code, stdout, stderr = finish(start_command("train", *arguments))
    assert code == 0, stderr
    assert "2 epochs of 2 steps, then 1 of fine-tuning; 3 pictures" in stdout
    assert "images_per_second" in stdout
    history = read_history(out)
    assert [row["epoch"] for row in history] == ["0", "1", "2"]
    for row in history:
        for name in ("generator_loss", "hole", "val_psnr", "images_per_second"):
            assert np.isfinite(float(row[name]))
    assert len(list((out / "samples").iterdir())) == 3
    assert isinstance(keras.saving.load_model(out / "model.keras"), CTSDG)
    assert not (out / "backup").exists()
    code, _, stderr = finish(start_command("train", *arguments))
    assert code == 1
    assert "finished training" in stderr


@only_once
@pytest.mark.large
def test_example_trains_and_evaluates(root, tmp_path):
    small = ("--steps", 1, "--fine-tuning-steps", 1, "--steps-per-epoch", 1)
    small += ("--filters", 8, "--image-size", 128, "--vgg", "none")
    script = ("examples/train_celeba.py", root, tmp_path / "out")
    code, stdout, stderr = finish(start_python(*script, *small))
    assert code == 0, stderr
    assert "psnr_40_60" in stdout
    assert (tmp_path / "out" / "model.keras").exists()
    assert len(read_history(tmp_path / "out")) == 2


def test_bad_options(command, root, tmp_path):
    arguments = ("--out", tmp_path / "out", *SMALL)
    for more, message in (
        (("--images", tmp_path / "none"), "that exists. Received: images="),
        (("--images", root, "--steps", 0, "--fine-tuning-steps", 0), "--steps 0"),
        (("--images", root, "--edges", "sharp"), "Received: edges='sharp'"),
        (("--images", root, "--edges", "sharp", "--edges-on-device"), "edges='sharp'"),
        (("--images", root, "--image-size", 200), "Received: --image-size 200"),
        (("--images", root, "--validation-masks", root), "needs --validation-images"),
        (("--celeba", root, "--validation-images", root), "its own validation"),
        (("--images", root, "--vgg", "no.pth"), "Received: weights='no.pth'"),
    ):
        code, _, stderr = command("train", *arguments, *more)
        assert code == 1
        assert message in stderr
        assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()


def test_errors_that_tensorflow_wraps_are_told_in_a_line():
    text = "{{node}} ImageError: Picture 3 can't be read. Received: x.png\nTraceback"
    wrapped = type("UnknownError", (Exception,), {"__module__": "tensorflow.errors"})
    assert message_within(wrapped(text)) == "Picture 3 can't be read. Received: x.png"
    assert message_within(wrapped("out of memory")) is None
    assert message_within(RuntimeError(text)) is None
