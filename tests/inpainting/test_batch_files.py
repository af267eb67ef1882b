"""Which files of folders a batch run takes for images and masks."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.cli.inpaint import _print_report
from keras_ctsdg.inpainting import InpaintOptions
from keras_ctsdg.inpainting.batch import BatchReport, InpaintBatch
from tests.data.common import photo
from tests.inpainting.common import ConstantModel

pytestmark = pytest.mark.backend_independent


def save_images(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        photo((32, 24)).save(folder / name)


def save_masks(folder, *names):
    mask = np.zeros((24, 32), "uint8")
    mask[5:9, 5:9] = 1
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(folder / name)


def pairs(batch, root):
    return {
        str(task.image.relative_to(root)): task.mask and task.mask.name
        for task in batch.pending
    }


def test_masks_and_results_within_the_folder_of_images(tmp_path):
    save_images(tmp_path, "a.jpg", "sub/b.png")
    save_masks(tmp_path / "masks", "a.png", "sub/b.bmp")
    out = tmp_path / "filled"
    expected = {"a.jpg": "a.png", "sub/b.png": "b.bmp"}
    batch = InpaintBatch(tmp_path, tmp_path / "masks", out)
    assert pairs(batch, tmp_path) == expected
    batch.run(ConstantModel(), InpaintOptions())
    assert batch.report.failed == {}
    again = InpaintBatch(tmp_path, tmp_path / "masks", out, overwrite=True)
    assert pairs(again, tmp_path) == expected
    one = InpaintBatch(tmp_path, tmp_path / "masks" / "a.png", out)
    assert len(one.report.skipped) == 2
    assert list(pairs(one, tmp_path)) == ["masks/sub/b.bmp"]


def test_masks_beside_their_images(tmp_path):
    """LaMa's layout."""
    images, out = tmp_path / "images", tmp_path / "out"
    save_images(images, "a.jpg", "sub/b.png")
    save_masks(images, "a_mask001.png", "sub/b_mask.png")
    expected = {"a.jpg": "a_mask001.png", "sub/b.png": "b_mask.png"}
    (tmp_path / "link").symlink_to(images)
    for masks in (images, tmp_path / "link", images / ".." / "images"):
        assert pairs(InpaintBatch(images, masks, out), images) == expected
    save_images(images, "c.png")
    batch = InpaintBatch(images, images, out)
    assert batch.report.failed == {str(images / "c.png"): "It has no mask of its name."}
    alpha = InpaintBatch(images, None, out, alpha=True)
    assert list(pairs(alpha, images)) == ["a.jpg", "c.png", "sub/b.png"]
    assert list(alpha.report.not_taken) == [
        str(images / "a_mask001.png"),
        str(images / "sub" / "b_mask.png"),
    ]
    save_masks(images, "a_mask002.png")
    with pytest.raises(ValueError, match="one mask for each image.*001.png, .*002.png"):
        InpaintBatch(images, images, out)


def test_mask_files_in_the_folder_of_images(tmp_path):
    save_images(tmp_path, "a.jpg", "b.jpg")
    save_masks(tmp_path, "one.png", "a-seg.png", "b-seg.png")
    out = tmp_path / "out"
    batch = InpaintBatch(tmp_path, tmp_path / "one.png", out)
    assert pairs(batch, tmp_path)["a.jpg"] == "one.png"
    assert "one.png" not in pairs(batch, tmp_path)
    batch = InpaintBatch(tmp_path / "*.jpg", tmp_path / "*.png", out)
    assert batch.report.failed.keys() == {str(tmp_path / f"{x}.jpg") for x in "ab"}
    for name in "ab":
        (tmp_path / f"{name}-seg.png").rename(tmp_path / f"{name}.png")
    for images in ("*.jpg", "[ab].*"):
        batch = InpaintBatch(tmp_path / images, tmp_path / "[ab].png", out)
        assert pairs(batch, tmp_path) == {"a.jpg": "a.png", "b.jpg": "b.png"}
    (tmp_path / "b.png").unlink()
    batch = InpaintBatch(tmp_path / "a.jpg", tmp_path, tmp_path / "new.png")
    assert pairs(batch, tmp_path) == {"a.jpg": "a.png"}


def test_masks_with_a_suffix_in_a_folder_of_their_own(tmp_path):
    save_images(tmp_path / "images", "a.jpg", "b.jpg")
    save_masks(tmp_path / "masks", "a_mask001.png", "b-Mask.png", "b.png")
    batch = InpaintBatch(tmp_path / "images", tmp_path / "masks", tmp_path / "out")
    expected = {"a.jpg": "a_mask001.png", "b.jpg": "b.png"}
    assert pairs(batch, tmp_path / "images") == expected


def test_images_that_are_their_own_masks_are_refused(tmp_path):
    images = tmp_path / "images"
    save_images(images, "a.png", "b.png")
    (tmp_path / "link").symlink_to(images)
    for pair in (
        *((images, images), (images, tmp_path / "link"), (tmp_path / "link", images)),
        (images / "a.png", tmp_path / "link" / "a.png"),
    ):
        with pytest.raises(ValueError, match="`masks` must not be `images`: put"):
            InpaintBatch(*pair, tmp_path / "out.png")


@pytest.mark.parametrize("inside", ["", "masks/"])
def test_masks_in_a_zip(tmp_path, inside):
    images, out = tmp_path / "images", tmp_path / "out"
    save_images(images, "a.jpg", "sub/b.png")
    save_masks(tmp_path / "masks", "a.png", "sub/b.png")
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        for name in ("a.png", "sub/b.png"):
            archive.write(tmp_path / "masks" / name, inside + name)
    batch = InpaintBatch(images, tmp_path / "masks.zip", out)
    batch.run(ConstantModel(), InpaintOptions())
    assert len(batch.report.filled) == 2
    with pytest.raises(ValueError, match="unpack the zip first. Received: images="):
        InpaintBatch(tmp_path / "masks.zip", tmp_path / "masks", out)


def test_pattern_and_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_images(tmp_path / "images", "a.jpg", "b.png", "sub/c.jpg", ".hidden/d.jpg")
    save_masks(tmp_path / "masks", "a.png", "c.png", "sub/c.png")
    batch = InpaintBatch("~/images/**/*.jpg", "~/masks", "~/out")
    expected = {"a.jpg": "a.png", "sub/c.jpg": "c.png"}
    assert pairs(batch, tmp_path / "images") == expected
    targets = [tmp_path / "out" / "a.jpg", tmp_path / "out" / "sub" / "c.jpg"]
    assert [task.out for task in batch.pending] == targets


def test_files_that_are_not_taken_are_reported(tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    save_images(images, "a.tga")
    save_masks(masks, "a.png")
    (images / "b.dng").write_bytes(b"")
    (masks / "b.svg").write_bytes(b"")
    report = InpaintBatch(images, masks, tmp_path / "out").report
    assert report.not_taken == {
        str(images / "b.dng"): "a raw photo; develop it to a TIFF or a PNG",
        str(masks / "b.svg"): "Pillow does not open it",
    }


def test_written_is_said_of_what_was_written_alone(tmp_path, capsys):
    _print_report(BatchReport(failed={"a.png": "it is empty"}), tmp_path)
    assert capsys.readouterr().out.endswith(
        "a.png: it is empty\nNothing was written.\n"
    )
    _print_report(BatchReport(unchanged=["a"], not_taken={"x/b.dng": "raw"}), tmp_path)
    end = f"Not taken: 1 (b.dng): raw\nWritten to {tmp_path}\n"
    assert capsys.readouterr().out.endswith(end)
