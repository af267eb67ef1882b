import csv
import signal
import time

import keras
import numpy as np
import pytest

from keras_ctsdg import CTSDG
from keras_ctsdg.cli import find_wrapped_message
from keras_ctsdg.cli._train_options import TrainOptions
from keras_ctsdg.cli.train import _load_preset, _make_model, _open_datasets
from tests.common import EAGER_ON_TENSORFLOW
from tests.data.common import write_celeba
from tests.processes import finish, start_command, start_python

SMALL = ("--image-size", 128, "--filters", 8, "--batch-size", 1, "--vgg", "none")

# It takes minutes, and each backend has other tests of all that it uses.
only_on_default_backend = pytest.mark.skipif(
    not EAGER_ON_TENSORFLOW, reason="runs on the default backend"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_celeba(tmp_path_factory.mktemp("celeba"))


def read_history(out):
    with open(out / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_interrupted_training_is_resumed(root, tmp_path):
    """Train both stages on CelebA, interrupted in the second epoch and run again."""
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
    assert "Run the same command again to continue" in stderr
    assert "Traceback" not in stderr
    code, stdout, stderr = finish(start_command("train", *arguments))
    assert code == 0, stderr
    assert "2 epochs of 2 steps, then 1 of fine-tuning; 3 images" in stdout
    assert " images/s" in stdout
    # A file gets two lines per epoch, and not a progress bar.
    assert len(stdout.splitlines()) <= 2 + 2 * 2
    assert not set("\b\r") & set(stdout)
    assert stderr.startswith("Warning: `perceptual_network=None`")
    assert len(stderr.splitlines()) == 1
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


@only_on_default_backend
@pytest.mark.slow
def test_example_trains_and_evaluates(root, tmp_path):
    small = ("--steps", 1, "--fine-tuning-steps", 1, "--steps-per-epoch", 1)
    small += ("--filters", 8, "--image-size", 128, "--vgg", "none")
    script = ("examples/train_celeba.py", root, tmp_path / "out")
    code, stdout, stderr = finish(start_python(*script, *small))
    assert code == 0, stderr
    assert "psnr_40_60" in stdout
    assert (tmp_path / "out" / "model.keras").exists()
    assert len(read_history(tmp_path / "out")) == 2


@pytest.mark.backend_independent
def test_bad_options(command, root, tmp_path):
    arguments = ("--out", tmp_path / "out", *SMALL)
    for more, message in (
        (("--images", tmp_path / "none"), "Received: images="),
        (("--images", root, "--steps", 0, "--fine-tuning-steps", 0), "--steps 0"),
        (("--images", root, "--image-size", 200), "Received: --image-size 200"),
        (("--images", root, "--validation-masks", root), "needs --validation-images"),
        (("--celeba", root, "--validation-images", root), "its own validation"),
        (("--celeba", root, "--masks", root), "its own images and masks"),
        ((), "Received: neither"),
        (("--images", root, "--mask-ratio", 0.4, 0.1), "mask_ratio=(0.4, 0.1)"),
        (("--images", root, "--vgg", "no.pth"), "Received: weights='no.pth'"),
    ):
        code, _, stderr = command("train", *arguments, *more)
        assert code == 1
        assert message in stderr
        assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()


CHOICES = (
    ("train", "--edges", ("clean", "wrapped")),
    ("train", "--upsampling", ("half_pixel", "align_corners")),
    ("train", "--on-error", ("raise", "skip")),
    ("train", "--crop", ("center", "random", "none")),
    ("convert", "--dtype", ("float32", "float16")),
)


@pytest.mark.backend_independent
@pytest.mark.parametrize("name, option, choices", CHOICES)
def test_choices(command, monkeypatch, root, tmp_path, name, option, choices):
    monkeypatch.setenv("COLUMNS", "200")
    code, stdout, _ = command(name, "--help")
    assert code == 0
    line = next(line for line in stdout.splitlines() if f" {option} " in line)
    assert "|".join(choices) in line
    arguments = {
        "train": ("--out", tmp_path / "out", *SMALL, "--images", root),
        "convert": (tmp_path / "no.pt", tmp_path / "preset"),
    }
    code, _, stderr = command(name, *arguments[name], option, "sharp")
    assert code == 2
    message = " ".join(stderr.split())
    assert f"Invalid value for '{option}'" in message
    assert ", ".join(repr(choice) for choice in choices) in message
    assert not (tmp_path / "out").exists()


@pytest.mark.backend_independent
@pytest.mark.parametrize("crop, expected", (("random", "random"), ("none", None)))
def test_validation_has_no_random_crops(root, tmp_path, crop, expected):
    _, options = _load_preset(TrainOptions(celeba=root, crop=crop, image_size=128))
    training, validation = _open_datasets(options, tmp_path / "out")
    assert training.crop == expected
    assert validation.crop == (None if crop == "none" else "center")


@pytest.mark.backend_independent
def test_message_of_an_error_that_tensorflow_wraps():
    text = "{{node}} ImageError: Image 3 can't be read. Received: x.png\nTraceback"
    wrapped = type("UnknownError", (Exception,), {"__module__": "tensorflow.errors"})
    message = find_wrapped_message(wrapped(text))
    assert message == "Image 3 can't be read. Received: x.png"
    assert find_wrapped_message(wrapped("out of memory")) is None
    assert find_wrapped_message(RuntimeError(text)) is None


@pytest.mark.backend_independent
def test_from_starts_from_the_weights_of_a_preset(small_model, tmp_path):
    preset = CTSDG(
        small_model.generator, small_model.discriminator, edges="wrapped", sigma=1.5
    )
    for with_discriminator in (True, False):
        folder = tmp_path / f"preset_{with_discriminator}"
        preset.save_to_preset(folder, with_discriminator=with_discriminator)
        loaded, options = _load_preset(TrainOptions(from_preset=str(folder)))
        assert (options.filters, options.edges, options.sigma) == (4, "wrapped", 1.5)
        model = _make_model(options, None, loaded)
        assert (model.edges, model.sigma) == ("wrapped", 1.5)
        networks = [(model.generator, preset.generator)]
        if with_discriminator:
            networks.append((model.discriminator, preset.discriminator))
        for network, original in networks:
            pairs = zip(network.get_weights(), original.get_weights(), strict=True)
            assert all((x == y).all() for x, y in pairs)
    with pytest.raises(ValueError, match="--filters must be left out with --from"):
        _load_preset(TrainOptions(from_preset=str(folder), filters=64))
    _load_preset(TrainOptions(from_preset=str(folder), filters=4))


@pytest.mark.backend_independent
def test_from_is_an_option(command, root, tmp_path):
    arguments = ("train", "--images", root, "--out", tmp_path / "out", "--vgg", "none")
    code, _, stderr = command(*arguments, "--from", "none/at/all")
    assert code == 1
    assert "Received: preset=none/at/all" in stderr
    assert not (tmp_path / "out").exists()
