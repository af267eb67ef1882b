"""Trainings of the command line that are killed, or whose disk is full."""

import csv
import errno
import random
import shutil
import signal
import subprocess
import time
import zipfile
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest

from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.training import callbacks
from keras_ctsdg.training.checkpoint_files import find_checkpoints, read_checkpoint
from tests.common import random_batch
from tests.data.common import gray_images, write_celeba
from tests.processes import finish, start_command
from tests.training.common import read_state, restore_state

SMALL = ("--image-size", 128, "--filters", 4, "--batch-size", 2, "--vgg", "none")
SCHEDULE = ("--steps", 10, "--fine-tuning-steps", 5, "--steps-per-epoch", 5)
SCHEDULE += ("--checkpoint-every", 2, "--learning-rate", 1e-3)
KILLS = 20

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_celeba(tmp_path_factory.mktemp("celeba"))


def start(root, out):
    arguments = ("train", "--celeba", root, "--out", out, *SMALL, *SCHEDULE)
    return start_command(*arguments)


@pytest.fixture(scope="module")
def reference(root, tmp_path_factory):
    """The folder of a training that was not interrupted, and its seconds."""
    out = tmp_path_factory.mktemp("reference") / "out"
    finish(start(root, out))  # Once, so that JAX need not compile again.
    shutil.rmtree(out)
    begin = time.monotonic()
    code, _, stderr = finish(start(root, out))
    assert code == 0, stderr
    return out, time.monotonic() - begin


def read_history(out):
    with open(out / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k != "images_per_second"} for row in rows]


def read_tensors(path):
    """Return all tensors of a `.keras` file: weights, optimizers and the rest."""
    tensors = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            tensors[name] = item[()]

    with zipfile.ZipFile(path) as archive:
        content = BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(add)
    return tensors


def assert_same_training(out, expected):
    assert read_history(out) == read_history(expected)
    for name in ("model.keras", "best.keras"):
        tensors, others = read_tensors(out / name), read_tensors(expected / name)
        assert tensors.keys() == others.keys()
        assert len(tensors) > 500
        for key, value in tensors.items():
            np.testing.assert_array_equal(value, others[key], err_msg=key)
    grids = [sorted((x / "samples").iterdir()) for x in (out, expected)]
    for grid, other in zip(*grids, strict=True):
        assert grid.name == other.name
        assert grid.read_bytes() == other.read_bytes()


def read_step(out):
    found = find_checkpoints(out / "checkpoints")
    return read_checkpoint(found[0][1])[0]["step"] if found else 0


def test_twenty_kills_change_nothing(root, reference, tmp_path):
    """Kill trainings at random moments of their run; compare those that end."""
    expected, seconds = reference
    draw, out, kills, ended = random.Random(1), tmp_path / "out", 0, 0
    while kills < KILLS or out.exists():
        process = start(root, out)
        try:
            # The first part is spent on imports, where nothing can go wrong.
            limit = draw.uniform(0.3, 1.0) * seconds if kills < KILLS else None
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            before = read_step(out)
            process.kill()
            process.communicate()
            kills += 1
            assert read_step(out) >= before
            continue
        _, stderr = process.communicate()
        # It may have been killed after its last file.
        assert code == 0 or "must not hold a finished training" in stderr, stderr
        assert_same_training(out, expected)
        shutil.rmtree(out)
        ended += 1
    print(f"{kills} kills in {ended} trainings, {seconds:.1f} s each")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_save_and_exit(root, reference, tmp_path, number):
    """A scheduler gives 30 seconds, a good part of which may pass in one step."""
    out = tmp_path / "out"
    process = start(root, out)
    while read_step(out) < 2:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(number)
    begin = time.monotonic()
    code, _, stderr = finish(process)
    assert time.monotonic() - begin < 25
    assert code == 128 + number
    assert "Run the same command again to continue from there" in stderr
    assert "Traceback" not in stderr
    assert str(find_checkpoints(out / "checkpoints")[0][1]) in stderr
    code, _, stderr = finish(start(root, out))
    assert code == 0, stderr
    assert_same_training(out, reference[0])


# === A full disk ===


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 32 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk, left):
    """Fill a disk but for a number of bytes, and return the file that does it."""
    path = disk / "filler"
    free = shutil.disk_usage(disk).free
    path.write_bytes(bytes(max(0, free - left)))
    return path


def test_a_full_disk_ends_a_command_in_one_line(root, reference, small_disk):
    out, step = small_disk / "out", 0
    for left in (0, 1_000_000, 8_000_000):
        filler = fill(small_disk, left)
        code, _, stderr = finish(start(root, out))
        filler.unlink()
        assert code == 1, stderr
        *_, error = stderr.strip().splitlines()
        assert error.startswith("Error: No space left on device"), stderr
        assert "Run the same command again when there is room" in error
        assert "Traceback" not in stderr
        # What was good is still there, and partial files are not taken for it.
        assert read_step(out) >= step
        step = read_step(out)
    assert step > 0
    code, _, stderr = finish(start(root, out))
    assert code == 0, stderr
    assert_same_training(out, reference[0])


def fit(model, folder):
    """Train two epochs of two steps, with every callback that writes files."""
    batch = random_batch(1)
    model.fit(
        InpaintingDataset(gray_images(0, 50), batch_size=1, image_size=128),
        epochs=2,
        verbose=0,
        callbacks=[
            callbacks.SampleGrid(folder / "samples", batch),
            callbacks.ResumableCSVLogger(folder / "history.csv"),
            callbacks.TrainingCheckpoint(folder / "checkpoints", every=1),
        ],
    )
    model.save(folder / "model.keras")


def list_amounts_of_room(out):
    """Return the room at which a training fills the disk in the midst of each file."""
    files = [path.stat() for path in out.rglob("*") if path.is_file()]
    files.sort(key=lambda file: file.st_mtime_ns)
    sizes = np.array([512 * file.st_blocks for file in files])
    middles = np.cumsum(sizes) - sizes // 2
    # The first checkpoint was there too when others were written, and is now removed.
    newest = find_checkpoints(out / "checkpoints")[0][1]
    removed = sum(512 * path.stat().st_blocks for path in newest.iterdir())
    return sorted({0, *middles.tolist(), *(middles + removed).tolist()})


@pytest.mark.backend_independent
def test_a_disk_that_fills_at_each_write_in_turn(small_model, small_disk):
    initial, out, failed = read_state(small_model), small_disk / "out", set()
    out.mkdir()
    fit(small_model, out)
    expected = read_history(out), read_tensors(out / "model.keras")
    for left in list_amounts_of_room(out):
        restore_state(initial)
        shutil.rmtree(out)
        out.mkdir()
        filler = fill(small_disk, left)
        try:
            fit(small_model, out)
        except OSError as error:
            assert error.errno == errno.ENOSPC
            assert "\n" not in str(error)
            failed.add(Path(error.filename or "history.csv").name)
        filler.unlink()
        assert {path.name for path in out.rglob(".*")} <= {".lock"}
        for _, path in find_checkpoints(out / "checkpoints"):
            read_checkpoint(path)
        restore_state(initial)
        fit(small_model, out)
        assert read_history(out) == expected[0]
        for name, value in read_tensors(out / "model.keras").items():
            np.testing.assert_array_equal(value, expected[1][name], err_msg=name)
    print(f"Failed at {sorted(failed)}")
    assert {"epoch_0000_step_000001", "epoch_0002_step_000000"} <= failed
