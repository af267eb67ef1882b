import gc
import weakref
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.data.sources import FileSource
from keras_ctsdg.inpainting import FileOptions, InpaintOptions
from keras_ctsdg.inpainting import batch as batch_module
from keras_ctsdg.inpainting.batch import InpaintBatch
from tests.data.common import photo
from tests.inpainting.common import FILL_COLOR, ConstantModel

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def folders(tmp_path):
    """Images `a`, `b` (without a hole), `c` (damaged) and `d` (without a mask)."""
    images, masks, out = (tmp_path / name for name in ("images", "masks", "out"))
    images.mkdir()
    masks.mkdir()
    mask = np.zeros((40, 50), "uint8")
    for name in "abd":
        photo((50, 40)).save(images / f"{name}.png")
    (images / "c.png").write_text("not an image")
    Image.fromarray(mask).save(masks / "b.png")
    mask[10:20, 10:30] = 255
    for name in "ac":
        Image.fromarray(mask).save(masks / f"{name}.bmp")
    return images, masks, out


def test_report_lists_every_image_once(folders):
    images, masks, out = folders
    batch = InpaintBatch(images, masks, out)
    assert [task.image.name for task in batch.pending] == ["a.png", "b.png", "c.png"]
    steps = []

    def progress(iterable):
        for step in iterable:
            steps.append(step)
            yield step

    batch.run(ConstantModel(), InpaintOptions(), progress)
    assert len(steps) == 3
    report = asdict(batch.report)
    failed = report.pop("failed")
    assert report == {
        "filled": [str(images / "a.png")],
        "unchanged": [str(images / "b.png")],
        "skipped": [],
        "not_taken": {},
        "notes": {},
    }
    assert set(failed) == {str(images / "c.png"), str(images / "d.png")}
    assert "cannot be read" in failed[str(images / "c.png")]
    assert failed[str(images / "d.png")] == "It has no mask of its name."
    assert {path.name for path in out.iterdir()} == {"a.png", "b.png"}
    with Image.open(out / "a.png") as filled:
        assert (np.asarray(filled)[10:20, 10:30] == FILL_COLOR).all()

    again = InpaintBatch(images, masks, out)
    assert [task.image.name for task in again.pending] == ["c.png"]
    assert again.report.skipped == [str(images / "a.png"), str(images / "b.png")]
    replaced = InpaintBatch(images, masks, out, overwrite=True)
    assert len(replaced.pending) == 3


def test_failure_of_the_model_is_reported(folders):
    images, masks, out = folders
    batch = InpaintBatch(images / "a.png", masks / "a.bmp", out / "a.png")
    batch.run(ConstantModel(), InpaintOptions(strategy="full", memory_limit=1e-3))
    (reason,) = batch.report.failed.values()
    assert "Received: memory_limit=0.001" in reason
    assert not out.exists()


def test_image_without_a_hole_is_converted_to_another_ending(folders):
    images, masks, out = folders
    batch = InpaintBatch(images / "b.png", masks / "b.png", out / "b.webp")
    batch.run(ConstantModel(), InpaintOptions())
    assert batch.report.unchanged == [str(images / "b.png")]
    with Image.open(out / "b.webp") as copy, Image.open(images / "b.png") as image:
        assert copy.format == "WEBP"
        np.testing.assert_array_equal(copy, image)


def test_formats_are_checked_before_the_network_runs(folders):
    images, masks, out = folders
    mask = masks / "a.bmp"
    photo((50, 40)).convert("RGBA").save(images / "e.png")
    Image.new("I;16", (50, 40)).save(images / "f.png")
    # Its ending says another format than its content, which has alpha.
    photo((50, 40)).convert("RGBA").save(images / "g.jpg", "PNG")
    for name, target, message in (
        ("e.png", "e.jpg", "mode RGBA: .*Received: out=.*e.jpg"),
        ("f.png", "f.jpg", "mode I;16: .*Received: out=.*f.jpg"),
        ("g.jpg", "g.bmp.ppm", "mode RGBA: .*Received: out=.*g.bmp.ppm"),
        ("a.png", "a.text", "`out` must end as an image format does .*out=.*a.text"),
        ("c.png", "c.jpg", "cannot be read"),
    ):
        with pytest.raises(ValueError, match=message):
            InpaintBatch(images / name, mask, out / target)
    model = ConstantModel()
    batch = InpaintBatch(images, mask, out, files=FileOptions(format="jpg"))
    assert [task.out.name for task in batch.pending] == [f"{x}.jpg" for x in "abdg"]
    batch.run(model, InpaintOptions())
    failed = {Path(name).name: reason for name, reason in batch.report.failed.items()}
    assert set(failed) == {"c.png", "e.png", "f.png"}
    assert "mode RGBA" in failed["e.png"]
    assert len(model.sizes) == 4
    with Image.open(out / "g.jpg") as saved:
        assert (saved.format, saved.mode) == ("PNG", "RGBA")


def test_format_and_quality_must_have_a_part(folders):
    images, masks, out = folders
    one = images / "a.png", masks / "a.bmp"
    photo((50, 40)).save(images / "a.bmp")
    for arguments, options, message in (
        ((images, masks / "a.bmp", out), {"format": "png"}, "different names. .*a.bmp"),
        ((*one, out / "a.jpg"), {"format": "png"}, "must be the ending of `out`"),
        ((*one, out / "a.png"), {"quality": 50}, "`quality` must be `None` .*=50"),
    ):
        with pytest.raises(ValueError, match=message):
            InpaintBatch(*arguments, files=FileOptions(**options))
    sizes = []
    for quality in (30, 95):
        batch = InpaintBatch(
            *one,
            out / "a.webp",
            overwrite=True,
            files=FileOptions(quality=quality, format="WEBP"),
        )
        batch.run(ConstantModel(), InpaintOptions())
        sizes.append((out / "a.webp").stat().st_size)
    assert sizes[0] < sizes[1]


def test_wrong_paths_are_refused(folders):
    images, masks, out = folders
    one, mask = images / "a.png", masks / "a.bmp"
    for arguments, message in (
        ((images, None, out), "Pass either `masks` or `alpha`. Received: masks=None"),
        (
            (images, masks, out, True),
            "Pass either `masks` or `alpha`. Received: masks=",
        ),
        ((images / "no", masks, out), "`images` must be a folder, .*images=.*no"),
        ((images, masks / "no", out), "`masks` must be a folder, .*masks=.*no"),
        ((one, mask, out), "`out` must be the name of an image file .*out=.*out"),
        ((images, masks, images), "`out` must not be `images`. Received: out="),
        ((one, mask, masks / "b.png"), "`out` must not exist, .*Received: out=.*b.png"),
    ):
        with pytest.raises(ValueError, match=message):
            InpaintBatch(*arguments)
    Image.new("L", (50, 40)).save(masks / "a.png")
    with pytest.raises(ValueError, match="`masks` must hold .*Received: .*a.bmp"):
        InpaintBatch(images, masks, out)


def test_few_images_are_in_memory_at_once(tmp_path, monkeypatch):
    """One is filled while the next is read and the last is written."""
    references, alive = [], []
    read = batch_module.read_task

    def read_and_count(task, files):
        gc.collect()
        alive.append(sum(reference() is not None for reference in references))
        pair = read(task, files)
        references.append(weakref.ref(pair[0]))
        return pair

    monkeypatch.setattr(batch_module, "read_task", read_and_count)
    images = tmp_path / "images"
    images.mkdir()
    for i in range(12):
        photo((50, 40)).save(images / f"{i:02d}.png")
    mask = np.zeros((40, 50), "uint8")
    mask[10:20, 10:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    batch = InpaintBatch(images, tmp_path / "mask.png", tmp_path / "out")
    batch.run(ConstantModel(), InpaintOptions())
    assert len(batch.report.filled) == len(alive) == 12
    assert max(alive) <= 3


def test_shards_are_disjoint_and_complete(folders):
    """Whatever was filled before, each shard has the same images."""
    images, masks, out = folders
    for name in "efg":
        photo((50, 40)).save(images / f"{name}.png")
        (masks / f"{name}.bmp").write_bytes((masks / "a.bmp").read_bytes())
    (images / "h.cr2").write_text("a raw photo")
    whole = InpaintBatch(images, masks, out)
    whole.run(ConstantModel(), InpaintOptions())
    for rank in range(3):
        (out / "aefb"[rank]).with_suffix(".png").unlink()
    found = {name: [] for name in asdict(whole.report)}
    for rank in range(9):
        batch = InpaintBatch(images, masks, out, shard=(rank, 9))
        batch.run(ConstantModel(), InpaintOptions())
        for name, entries in asdict(batch.report).items():
            found[name] += entries
        assert sum(map(len, asdict(batch.report).values())) <= 3
    done = {*found["filled"], *found["unchanged"], *found["skipped"]}
    assert done == {*whole.report.filled, *whole.report.unchanged}
    assert len(found["filled"]) == 3
    assert sorted(found["failed"]) == sorted(whole.report.failed)
    assert found["not_taken"] == list(whole.report.not_taken)
    with pytest.raises(ValueError, match="rank < count. Received: shard="):
        InpaintBatch(images, masks, out, shard=(2, 2))


def test_results_that_come_in_any_order_are_reported_in_that_of_the_names(folders):
    images, masks, out = folders
    for name in "efg":
        photo((50, 40)).save(images / f"{name}.png")
        (masks / f"{name}.bmp").write_bytes((masks / "a.bmp").read_bytes())
    (images / "f.png").write_text("not an image")

    def fill_backward(*arguments):
        return reversed(list(batch_module.fill_files(*arguments)))

    reports = []
    for fill in (batch_module.fill_files, fill_backward):
        batch = InpaintBatch(images, masks, out, overwrite=True)
        batch.run(ConstantModel(), InpaintOptions(), fill=fill)
        reports.append(asdict(batch.report))
    assert reports[0] == reports[1]
    for first, second in zip(*(report.values() for report in reports), strict=True):
        assert list(first) == list(second)


def test_remote_files_are_filled_as_local_ones(folders):
    images, masks, out = folders
    exif = Image.Exif()
    exif[0x010E] = "a photo"
    photo((50, 40)).save(images / "e.jpg", exif=exif, quality=80)
    (masks / "e.bmp").write_bytes((masks / "a.bmp").read_bytes())
    reports, files = [], []
    for paths in (folders, [x.as_uri() for x in (images, masks, out.parent / "far")]):
        batch = InpaintBatch(*paths)
        batch.run(ConstantModel(), InpaintOptions())
        report = repr(batch.report).replace("file://", "")
        reports.append(report.replace(str(out.parent / "far"), str(out)))
        folder = out if paths is folders else out.parent / "far"
        files.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert reports[0] == reports[1]
    assert files[0] == files[1]
    assert len(files[0]) == 3
    again = InpaintBatch(*paths)
    assert [task.image.name for task in again.pending] == ["c.png"]
    assert len(again.report.skipped) == 3
    converted = InpaintBatch(*paths[:2], paths[2], files=FileOptions(format="webp"))
    converted.run(ConstantModel(), InpaintOptions())
    assert len(converted.report.filled) == 2
    one = InpaintBatch(f"{paths[0]}/e.jpg", f"{paths[1]}/a.bmp", f"{paths[2]}/one.jpg")
    one.run(ConstantModel(), InpaintOptions())
    assert (out.parent / "far" / "one.jpg").read_bytes() == files[0]["e.jpg"]


def test_a_mask_is_opened_once(folders, monkeypatch):
    images, masks, out = folders
    opened = []
    open_source = FileSource.open

    def count(self):
        opened.append(self.file.name)
        return open_source(self)

    monkeypatch.setattr(FileSource, "open", count)
    batch = InpaintBatch(images / "a.png", masks / "a.bmp", out / "a.png")
    batch.run(ConstantModel(), InpaintOptions())
    assert opened.count("a.bmp") == 1
