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
from keras_ctsdg.inpainting import InpaintOptions
from keras_ctsdg.models import Discriminator, Generator
from tests._process_memory import peak_memory
from tests.cli.common import read_box
from tests.common import slow_if
from tests.data.common import photo
from tests.processes import MEASURED_COMMAND, finish, start_command, start_python


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    keras.utils.set_random_seed(1)
    keras_ctsdg.CTSDG(Generator(filters=4), Discriminator(filters=4)).save(path)
    return path


def wait_until(condition, process):
    """Wait until a condition is true, but no longer than the process and 5 minutes."""
    limit = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < limit:
        if condition():
            break
        time.sleep(0.01)


def make_mask(size):
    mask = np.zeros(size[::-1], "uint8")
    mask[30:60, 20:70] = 255
    return Image.fromarray(mask)


@pytest.fixture
def folder(tmp_path):
    """Images: good ones, a damaged one, one of another size, one without a mask."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    (images / "sub").mkdir(parents=True)
    (masks / "sub").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x010E] = "a photo"
    image = photo((120, 100))
    image.save(images / "a.jpg", quality=95, exif=exif, icc_profile=b"profile")
    image.convert("L").save(images / "sub" / "b.png")
    (images / "c.png").write_text("not an image")
    image.save(images / "d.png")
    image.save(images / "e.png")
    image.save(images / "f.jpg")
    for name in ("a", "sub/b", "c", "e"):
        make_mask((120, 100)).save(masks / f"{name}.png")
    make_mask((90, 80)).save(masks / "d.png")
    Image.new("L", (120, 100)).save(masks / "f.bmp")
    (masks / "e.png").unlink()
    return tmp_path


def inpaint_folder(command, saved, folder, *more, masks=True):
    paired = ("--masks", folder / "masks") if masks else ()
    return command(
        *("inpaint", saved, "--images", folder / "images", *paired),
        *("--out", folder / "out", *more),
    )


@pytest.mark.backend_independent
def test_folder_is_filled_reported_and_continued(command, saved, folder):
    code, stdout, stderr = inpaint_folder(command, saved, folder, "--json")
    assert code == 1
    assert "Traceback" not in stderr
    report = json.loads(stdout)
    images, out = folder / "images", folder / "out"
    assert report["filled"] == [str(images / "a.jpg"), str(images / "sub" / "b.png")]
    assert report["unchanged"] == [str(images / "f.jpg")]
    assert report["skipped"] == []
    assert report["notes"] == {}
    reasons = {Path(name).name: x for name, x in report["failed"].items()}
    assert set(reasons) == {"c.png", "d.png", "e.png"}
    assert "cannot be read" in reasons["c.png"]
    assert "Received: mask of 80 x 90" in reasons["d.png"]
    assert "no mask" in reasons["e.png"]
    found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert found == {"a.jpg", "f.jpg", os.path.join("sub", "b.png")}
    assert (out / "f.jpg").read_bytes() == (images / "f.jpg").read_bytes()
    with Image.open(out / "a.jpg") as result:
        assert result.getexif()[0x010E] == "a photo"
        assert result.info["icc_profile"] == b"profile"
        assert result.format == "JPEG"
    mask = np.asarray(make_mask((120, 100))) > 0
    before, after = (np.asarray(Image.open(x / "sub" / "b.png")) for x in (images, out))
    np.testing.assert_array_equal(after[~mask], before[~mask])
    assert (after[mask] != before[mask]).mean() > 0.5

    # The second run skips existing results and fills the repaired file.
    stamp = (out / "a.jpg").stat().st_mtime_ns
    photo((120, 100)).save(images / "c.png")
    code, stdout, _ = inpaint_folder(command, saved, folder, "--json")
    report = json.loads(stdout)
    assert code == 1
    assert len(report["skipped"]) == 3
    assert report["filled"] == [str(images / "c.png")]
    assert (out / "a.jpg").stat().st_mtime_ns == stamp
    code, stdout, _ = inpaint_folder(command, saved, folder, "--overwrite")
    assert code == 1
    assert (
        "Filled 3. Copied without a hole: 1. Skipped because they exist: 0." in stdout
    )
    assert (out / "a.jpg").stat().st_mtime_ns > stamp


@pytest.mark.backend_independent
def test_single_image_and_one_mask_for_all_images(command, saved, folder):
    image, mask = folder / "images" / "a.jpg", folder / "masks" / "a.png"
    arguments = ("inpaint", saved, "--image", image, "--mask", mask)
    out = folder / "filled.png"
    code, stdout, stderr = command(*arguments, "--out", out, "--dilate", 2)
    assert code == 0, stderr
    assert f"Written to {out}" in stdout
    expected = keras.saving.load_model(saved).inpaint(image, mask, dilate=2)
    np.testing.assert_array_equal(np.asarray(Image.open(out)), np.asarray(expected))
    code, _, stderr = command(*arguments, "--out", out)
    assert code == 1
    assert "`out` must not exist, unless `overwrite` is set" in stderr
    (folder / "images" / "c.png").unlink()
    code, stdout, stderr = inpaint_folder(
        command, saved, folder, "--mask", mask, "--json", masks=False
    )
    assert code == 0, stderr
    assert len(json.loads(stdout)["filled"]) == 5


@pytest.mark.backend_independent
def test_alpha_marks_the_hole(command, saved, folder, tmp_path):
    image = photo((120, 100)).convert("RGBA")
    image.putalpha(make_mask((120, 100)).point(lambda x: 255 - x))
    image.save(tmp_path / "cut.png")
    code, _, stderr = command(
        *("inpaint", saved, "--image", tmp_path / "cut.png", "--alpha"),
        *("--out", tmp_path / "new.png"),
    )
    assert code == 0, stderr
    found = np.asarray(Image.open(tmp_path / "new.png"))
    assert (found[..., 3] == 255).all()
    mask = np.asarray(make_mask((120, 100))) > 0
    np.testing.assert_array_equal(found[~mask], np.asarray(image)[~mask])


@pytest.mark.backend_independent
def test_wrong_arguments_are_reported_before_any_work(command, saved, folder):
    images, masks = folder / "images", folder / "masks"
    make_mask((120, 100)).save(masks / "twice.png")
    make_mask((120, 100)).save(masks / "twice.bmp")
    photo((120, 100)).convert("RGBA").save(folder / "clear.png")
    one = ("--image", images / "a.jpg", "--mask", masks / "a.png")
    clear = ("--image", folder / "clear.png", "--mask", masks / "a.png")
    for arguments, message in (
        (("--images", images, "--out", "o"), "Pass either `masks` or `alpha`"),
        (("--images", images, "--masks", masks, "--out", "o"), "more than the ending"),
        (("--images", folder / "no", "--alpha", "--out", "o"), "that exists"),
        (("--images", images, "--alpha", "--out", images), "must not be `images`"),
        ((*one, "--out", folder / "none"), "the name of an image file"),
        ((*one, "--out", "o.png", "--feather", 65), "Received: feather=65"),
        ((*one, "--out", "o.text"), "`out` must end as an image format does"),
        ((*clear, "--out", "o.jpg"), "holds an image of mode RGBA"),
        ((*one, "--out", "o.png", "--quality", 50), "`quality` must be `None`"),
        ((*one, "--out", "o.png", "--format", "text"), "Received: format='text'"),
    ):
        # The model that does not exist is not looked for.
        code, _, stderr = command("inpaint", "no.keras", *arguments)
        assert code == 1
        assert message in stderr
        assert "Traceback" not in stderr
    code, _, stderr = command(
        "inpaint", saved, *one, "--out", "o.png", "--strategy", "x"
    )
    assert code == 2
    assert "--strategy" in stderr
    assert "'x' is not one of 'auto', 'full', 'crop', 'resize'" in read_box(stderr)
    code, _, stderr = command(
        "inpaint", folder / "no.keras", *one, "--out", folder / "o.png"
    )
    assert code == 1
    assert "an existing `.keras` file" in stderr


@slow_if(keras.backend.backend() != "torch")
@pytest.mark.parametrize(
    "signal_number",
    [
        signal.SIGINT,
        # A killed process does nothing on any backend.
        pytest.param(signal.SIGKILL, marks=pytest.mark.backend_independent),
    ],
)
def test_interrupted_run_is_continued_by_the_next(
    command, saved, tmp_path, signal_number
):
    (tmp_path / "images").mkdir()
    for i in range(12):
        photo((120, 100), (3 * i, i)).save(tmp_path / "images" / f"{i:02d}.png")
    make_mask((120, 100)).save(tmp_path / "mask.png")
    arguments = (
        *("inpaint", saved, "--images", tmp_path / "images"),
        *("--mask", tmp_path / "mask.png", "--out", tmp_path / "out"),
    )
    process = start_command(*arguments)
    wait_until(lambda: len(list((tmp_path / "out").glob("*.png"))) >= 3, process)
    process.send_signal(signal_number)
    code, _, stderr = finish(process)
    done = len(list((tmp_path / "out").glob("*.png")))
    if signal_number == signal.SIGINT:
        assert code == 130, stderr
        assert (
            "Interrupted. Run the same command again to continue with the missing "
            "files." in stderr
        )
        assert "Traceback" not in stderr
        assert list((tmp_path / "out").glob(".*")) == []
    assert 3 <= done < 12
    code, stdout, stderr = command(*arguments, "--json")
    assert code == 0, stderr
    report = json.loads(stdout)
    assert len(report["skipped"]) == done
    assert len(report["filled"]) == 12 - done
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {f"{i:02d}.png" for i in range(12)} <= names
    # The killed process may leave one partial file.
    assert len(names) <= 13
    for path in (tmp_path / "out").glob("*.png"):
        Image.open(path).load()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_files(saved, tmp_path):
    size = 1600, 1200
    mask = np.zeros(size[::-1], "uint8")
    mask[:20, :20] = 255  # A hole in the corner needs the smallest crop.
    Image.fromarray(mask).save(tmp_path / "mask.png")
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    photo().resize(size).save(images / "000.jpg")
    for i in range(1, 120):
        (images / f"{i:03d}.jpg").hardlink_to(images / "000.jpg")
    process = start_python(
        *("-c", MEASURED_COMMAND, "inpaint", saved, "--images", images),
        *("--mask", tmp_path / "mask.png", "--out", out),
        # Freed memory is returned at once, so that the peak shows what was in use.
        **{"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"},
    )
    # Both peaks are of the same process: threads and allocators of two processes
    # differ by more than the allowed growth.
    wait_until((out / "039.jpg").exists, process)
    few = peak_memory(process.pid)
    code, stdout, stderr = finish(process)
    assert code == 0, stderr
    assert "Filled 120." in stdout
    many = float(stdout.split()[-1])
    # 80 such images would take 460 MB.
    assert many - few < 0.05


@pytest.mark.backend_independent
def test_options_reach_the_model(command, saved, folder, monkeypatch):
    image, mask = folder / "images" / "a.jpg", folder / "masks" / "a.png"
    given = []
    monkeypatch.setattr(
        "keras_ctsdg.inpainting.batch.InpaintBatch.run",
        lambda self, model, options, *_: given.append(options),
    )
    arguments = ("inpaint", saved, "--image", image, "--mask", mask)
    arguments += ("--out", folder / "out.png")
    assert command(*arguments)[0] == 0
    assert given == [InpaintOptions()]
    code, _, stderr = command(
        *arguments,
        *("--strategy", "crop", "--size", 256, "--invert-mask", "--threshold", 0.25),
        *("--dilate", 2, "--feather", 1.5, "--memory-limit", 2),
    )
    assert code == 0, stderr
    assert given[1] == InpaintOptions(
        strategy="crop",
        size=256,
        invert_mask=True,
        threshold=0.25,
        dilate=2,
        feather=1.5,
        memory_limit=2,
    )
