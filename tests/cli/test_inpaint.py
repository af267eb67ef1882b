import json
import os
import signal
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_ctsdg
from benchmarks.contestants import memory
from keras_ctsdg.cli import files
from keras_ctsdg.models import Discriminator, Generator
from tests.common import MEASURED, finish, start_command, start_python
from tests.data.common import photo


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    keras.utils.set_random_seed(1)
    keras_ctsdg.CTSDG(Generator(filters=8), Discriminator(filters=8)).save(path)
    return path


def wait(process, is_far_enough):
    """Until a process is far enough, has ended, or has taken 5 minutes."""
    limit = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < limit:
        if is_far_enough():
            break
        time.sleep(0.01)


def mask_of(size):
    mask = np.zeros(size[::-1], "uint8")
    mask[30:60, 20:70] = 255
    return Image.fromarray(mask)


@pytest.fixture
def folder(tmp_path):
    """Two good pictures, a damaged one, one of another size, one without a mask."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    (images / "sub").mkdir(parents=True)
    (masks / "sub").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x010E] = "a photo"
    picture = photo((120, 100))
    picture.save(images / "a.jpg", quality=95, exif=exif, icc_profile=b"profile")
    picture.convert("L").save(images / "sub" / "b.png")
    (images / "c.png").write_text("no picture")
    picture.save(images / "d.png")
    picture.save(images / "e.png")
    picture.save(images / "f.jpg")
    for name in ("a", "sub/b", "c", "e"):
        mask_of((120, 100)).save(masks / f"{name}.png")
    mask_of((90, 80)).save(masks / "d.png")
    Image.new("L", (120, 100)).save(masks / "f.bmp")
    (masks / "e.png").unlink()
    return tmp_path


def run(command, saved, folder, *more, masks=True):
    paired = ("--masks", folder / "masks") if masks else ()
    return command(
        *("inpaint", saved, "--images", folder / "images", *paired),
        *("--out", folder / "out", *more),
    )


def test_folders(command, saved, folder):
    code, stdout, stderr = run(command, saved, folder, "--json")
    assert code == 1
    assert "Traceback" not in stderr
    report = json.loads(stdout)
    images, out = folder / "images", folder / "out"
    assert report["filled"] == [str(images / "a.jpg"), str(images / "sub" / "b.png")]
    assert report["unchanged"] == [str(images / "f.jpg")]
    assert report["skipped"] == []
    reasons = {Path(name).name: x for name, x in report["failed"].items()}
    assert set(reasons) == {"c.png", "d.png", "e.png"}
    assert "can't be read" in reasons["c.png"]
    assert "Received: mask of 80 x 90" in reasons["d.png"]
    assert "no mask" in reasons["e.png"]
    found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert found == {"a.jpg", "f.jpg", os.path.join("sub", "b.png")}
    assert (out / "f.jpg").read_bytes() == (images / "f.jpg").read_bytes()
    with Image.open(out / "a.jpg") as picture:
        assert picture.getexif()[0x010E] == "a photo"
        assert picture.info["icc_profile"] == b"profile"
        assert picture.format == "JPEG"
    mask = np.asarray(mask_of((120, 100))) > 0
    before, after = (np.asarray(Image.open(x / "sub" / "b.png")) for x in (images, out))
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert (after[mask] != before[mask]).mean() > 0.5

    # Again: what is there stays, what was mended is made.
    stamp = (out / "a.jpg").stat().st_mtime_ns
    photo((120, 100)).save(images / "c.png")
    code, stdout, _ = run(command, saved, folder, "--json")
    report = json.loads(stdout)
    assert code == 1
    assert len(report["skipped"]) == 3
    assert report["filled"] == [str(images / "c.png")]
    assert (out / "a.jpg").stat().st_mtime_ns == stamp
    code, stdout, _ = run(command, saved, folder, "--overwrite")
    assert code == 1
    assert "Filled 3. Without a hole, copied: 1. There already, skipped: 0." in stdout
    assert (out / "a.jpg").stat().st_mtime_ns > stamp


def test_one_picture_and_one_mask_for_all(command, saved, folder):
    picture, mask = folder / "images" / "a.jpg", folder / "masks" / "a.png"
    arguments = ("inpaint", saved, "--image", picture, "--mask", mask)
    out = folder / "filled.png"
    code, stdout, stderr = command(*arguments, "--out", out, "--dilate", 2)
    assert code == 0, stderr
    assert f"Written to {out}" in stdout
    expected = keras.saving.load_model(saved).inpaint(picture, mask, dilate=2)
    np.testing.assert_array_equal(np.asarray(Image.open(out)), np.asarray(expected))
    code, _, stderr = command(*arguments, "--out", out)
    assert code == 1
    assert "--out must not exist, unless with --overwrite" in stderr
    (folder / "images" / "c.png").unlink()
    code, stdout, stderr = run(
        command, saved, folder, "--mask", mask, "--json", masks=False
    )
    assert code == 0, stderr
    assert len(json.loads(stdout)["filled"]) == 5


def test_alpha(command, saved, folder, tmp_path):
    picture = photo((120, 100)).convert("RGBA")
    picture.putalpha(mask_of((120, 100)).point(lambda x: 255 - x))
    picture.save(tmp_path / "cut.png")
    code, _, stderr = command(
        *("inpaint", saved, "--image", tmp_path / "cut.png", "--alpha"),
        *("--out", tmp_path / "new.png"),
    )
    assert code == 0, stderr
    found = np.asarray(Image.open(tmp_path / "new.png"))
    assert (found[..., 3] == 255).all()
    mask = np.asarray(mask_of((120, 100))) > 0
    np.testing.assert_array_equal(found[~mask], np.asarray(picture)[~mask])


def test_errors_come_first(command, saved, folder):
    images, masks = folder / "images", folder / "masks"
    mask_of((120, 100)).save(masks / "twice.png")
    mask_of((120, 100)).save(masks / "twice.bmp")
    one = ("--image", images / "a.jpg", "--mask", masks / "a.png")
    for arguments, message in (
        (("--images", images, "--out", "o"), "Pass either --masks or --alpha"),
        (("--images", images, "--masks", masks, "--out", "o"), "more than the ending"),
        (("--images", folder / "no", "--alpha", "--out", "o"), "that exists"),
        (("--images", images, "--alpha", "--out", images), "must not be --images"),
        ((*one, "--out", folder / "none"), "a picture's name"),
        ((*one, "--out", "o.png", "--strategy", "x"), "strategy='x'"),
    ):
        code, _, stderr = command("inpaint", saved, *arguments)
        assert code == 1
        assert message in stderr
        assert "Traceback" not in stderr
    code, _, stderr = command(
        "inpaint", folder / "no.keras", *one, "--out", folder / "o.png"
    )
    assert code == 1
    assert "a `.keras` file that exists" in stderr


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    def half(self, path, *args, **kwargs):
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    (tmp_path / "a.png").write_bytes(b"old")
    monkeypatch.setattr(Image.Image, "save", half)
    with pytest.raises(OSError, match="No space"):
        files.save_whole(photo(), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"old"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_and_run_again(command, saved, tmp_path, number):
    (tmp_path / "images").mkdir()
    for i in range(60):
        photo((120, 100), (3 * i, i)).save(tmp_path / "images" / f"{i:02d}.png")
    mask_of((120, 100)).save(tmp_path / "mask.png")
    arguments = (
        *("inpaint", saved, "--images", tmp_path / "images"),
        *("--mask", tmp_path / "mask.png", "--out", tmp_path / "out"),
    )
    process = start_command(*arguments)
    wait(process, lambda: len(list((tmp_path / "out").glob("*.png"))) >= 3)
    process.send_signal(number)
    code, _, stderr = finish(process)
    done = len(list((tmp_path / "out").glob("*.png")))
    if number == signal.SIGINT:
        assert code == 130, stderr
        assert "Interrupted. The same command goes on with what is missing." in stderr
        assert "Traceback" not in stderr
        assert list((tmp_path / "out").glob(".*")) == []
    assert 3 <= done < 60
    code, stdout, stderr = command(*arguments, "--json")
    assert code == 0, stderr
    report = json.loads(stdout)
    assert len(report["skipped"]) == done
    assert len(report["filled"]) == 60 - done
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert {f"{i:02d}.png" for i in range(60)} <= left
    assert len(left) <= 61  # With what the killed one was writing
    for path in (tmp_path / "out").glob("*.png"):
        Image.open(path).load()


def test_memory_does_not_grow_with_the_number_of_files(saved, tmp_path):
    size = 1600, 1200
    mask = np.zeros(size[::-1], "uint8")
    mask[:20, :20] = 255  # In a corner, its surroundings are the smallest window.
    Image.fromarray(mask).save(tmp_path / "mask.png")
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    photo().resize(size).save(images / "000.jpg")
    for i in range(1, 120):
        (images / f"{i:03d}.jpg").hardlink_to(images / "000.jpg")
    process = start_python(
        *("-c", MEASURED, "inpaint", saved, "--images", images),
        *("--mask", tmp_path / "mask.png", "--out", out),
        # What is freed goes back at once: a peak is of what was held.
        **{"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"},
    )
    # The peak after some files, in the same process: between two of them, what
    # threads and allocators keep differs by more than is looked for here.
    wait(process, (out / "039.jpg").exists)
    few = memory("VmHWM", process.pid)
    code, stdout, stderr = finish(process)
    assert code == 0, stderr
    assert "Filled 120." in stdout
    many = float(stdout.split()[-1])
    # 80 such pictures would be 460 MB.
    assert many - few < 0.05
