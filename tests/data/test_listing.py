import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from keras_ctsdg.data import InpaintingDataset, formats
from keras_ctsdg.data.images import ImageError, ImageFiles
from tests.data.common import SMALL, hole_mask, photo

pytestmark = pytest.mark.backend_independent


def save(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        photo((8, 8)).save(path, None if path.suffix else "PNG")


def listed(files, root):
    return [os.path.relpath(name, root) for name in files.names()]


def test_linked_folders_are_searched_once_and_without_circles(tmp_path):
    root, other = tmp_path / "images", tmp_path / "other"
    save(root / "a.png", root / "sub" / "b.png", other / "deep" / "c.png")
    (root / "1-other").symlink_to(other)
    (root / "again").symlink_to(root / "sub")
    (root / "sub" / "up").symlink_to(root)
    (other / "deep" / "back").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    (root / "linked.png").symlink_to(root / "a.png")
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    files = ImageFiles(root)
    assert listed(files, root) == [
        *("1-other/deep/c.png", "a.png", "linked.png", "sub/b.png"),
    ]
    assert files.not_taken == {str(root / "gone.png"): "it is a link to nothing"}
    (tmp_path / "link").symlink_to(root)
    assert len(ImageFiles(tmp_path / "link")) == 4


HIDDEN = (
    ".hidden/a.png",
    ".ipynb_checkpoints/a-checkpoint.png",
    "sub/.ipynb_checkpoints/a-checkpoint.png",
    "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg",
    "__MACOSX/._a.png",
    "__MACOSX/a.png",
    "$RECYCLE.BIN/a.png",
    "#recycle/a.png",
    "System Volume Information/a.png",
    ".a.png.part.png",
)


@pytest.mark.parametrize("kind", ["folder", "zip", "pattern"])
def test_hidden_and_system_files_are_passed_over(tmp_path, kind):
    root = tmp_path / ".cache" / "images"
    save(root / "a.png", *(root / name for name in HIDDEN))
    (root / "Thumbs.db").write_bytes(b"")
    source = root
    if kind == "zip":
        source = tmp_path / "x.zip"
        with zipfile.ZipFile(source, "w") as archive:
            archive.mkdir("b.png")
            for name in ("a.png", "Thumbs.db", *HIDDEN):
                archive.write(root / name, name)
    if kind == "pattern":
        source = root / "**" / "*"
    files = ImageFiles(source)
    assert [Path(name).name for name in files.names()] == ["a.png"]
    assert files.not_taken == {}


@pytest.fixture
def without_heif(monkeypatch):
    refused = formats.REFUSED_FORMATS | {"HEIF"}
    monkeypatch.setattr(formats, "REFUSED_FORMATS", refused)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_files_that_are_not_taken_are_named(tmp_path, without_heif, kind):
    root = tmp_path / "images"
    save(root / "a.jpg", root / "b.TGA", root / "c.dib", root / "d.ppm")
    for name in ("1.HEIC", "2.heic", "e.DNG", "f.svg", "g.eps", "h.h5", "i.txt"):
        (root / name).write_bytes(b"content")
    source = root
    if kind == "zip":
        source = tmp_path / "x.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in sorted(root.iterdir()):
                archive.write(path, path.name)
    files = ImageFiles(source)
    names = [Path(name).name for name in files.names()]
    assert names == ["a.jpg", "b.TGA", "c.dib", "d.ppm"]
    for i in range(4):
        assert files.load(i).size == (8, 8)
    names = [Path(name).name for name in files.not_taken]
    assert names == ["1.HEIC", "2.heic", "e.DNG", "f.svg", "g.eps"]
    with pytest.warns(
        UserWarning,
        match=r'`images` holds .*: 2 \(1.HEIC, 2.heic\): HEIF .*\[heif\]"`; 1 \(e',
    ) as caught:
        InpaintingDataset(source, **SMALL)
    assert len(caught) == 1


def test_source_of_nothing_but_such_files_says_so(tmp_path, without_heif):
    (tmp_path / "a.heic").write_bytes(b"")
    with pytest.raises(ValueError, match=r"`images` must .*a.heic\): HEIF needs"):
        ImageFiles(tmp_path)


def test_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    save(tmp_path / "a.png", tmp_path / "closed" / "b.png")
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    files = ImageFiles(tmp_path)
    assert len(files) == 1
    assert files.not_taken == {str(tmp_path / "closed"): "Permission denied"}


def test_heic_with_its_extra(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    image = photo((64, 48))
    heif = pillow_heif.from_pillow(image)
    for name in ("a.HEIC", "b.heif", "named_wrong.jpg"):
        heif.save(tmp_path / name, quality=95)
    files = ImageFiles(tmp_path)
    assert len(files) == 3
    for i in range(3):
        found = np.asarray(files.load(i), "int32")
        assert np.abs(found - np.asarray(image)).mean() < 8
    (single,) = (ImageFiles([(tmp_path / "a.HEIC").read_bytes()]).load_original(0),)
    assert single.size == (64, 48)


def test_heic_without_its_extra(tmp_path, without_heif):
    content = b"\0\0\0\x18ftypheic" + bytes(100)
    (tmp_path / "a.heic").write_bytes(content)
    for image in (tmp_path / "a.heic", content):
        with pytest.raises(ImageError, match=r"cannot identify.*keras-ctsdg\[heif\]"):
            ImageFiles([image]).load(0)


def test_raw_photos_are_refused_in_place_of_their_previews(tmp_path):
    photo((8, 8)).save(tmp_path / "a.tif", tiffinfo={50706: b"\1\4\0\0"})
    photo((8, 8)).save(tmp_path / "b.tif")
    (tmp_path / "b.tif").rename(tmp_path / "b.NEF")
    for name in ("a.tif", "b.NEF"):
        with pytest.raises(ImageError, match=f"it is a raw photo.*Received: .*{name}"):
            ImageFiles([tmp_path / name]).load_original(0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is PostScript"),
        (b"<!DOCTYPE html><html>404", "it is a web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "it is an SVG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`"),
        (b"%PDF-1.7", "it is a PDF"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "it is a JPEG XL"),
    ],
)
def test_content_that_is_no_image_is_called_by_its_name(tmp_path, content, message):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=f"cannot identify image file: .*{message}"):
        ImageFiles(tmp_path).load(0)


def test_patterns_and_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path / "images"
    save(root / "a.jpg", root / "b.png", root / "sub" / "c.jpg", root / "[x].jpg")
    (root / "notes.txt").write_text("no image")
    for pattern, expected in (
        ("~/images/*.jpg", ["[x].jpg", "a.jpg"]),
        (root / "**" / "*.jpg", ["[x].jpg", "a.jpg", "sub/c.jpg"]),
        (root / "*", ["[x].jpg", "a.jpg", "b.png", "sub/c.jpg"]),
        (tmp_path / "im*", ["[x].jpg", "a.jpg", "b.png", "sub/c.jpg"]),
        (root / "[x].jpg", ["[x].jpg"]),
        ("~/images", ["[x].jpg", "a.jpg", "b.png", "sub/c.jpg"]),
    ):
        assert listed(ImageFiles(pattern), root) == expected
    for pattern in (root / "*.gif", root / "*.txt"):
        with pytest.raises(ValueError, match=r"`images` must match .*images=.*\*"):
            ImageFiles(pattern)


def test_masks_are_not_taken_for_images(tmp_path):
    root = tmp_path / "data"
    save(root / "a.png", root / "b.png")
    (root / "masks").mkdir()
    for name in "ab":
        hole_mask(32, 0.5).save(root / "masks" / f"{name}.png")
    (tmp_path / "link").symlink_to(root / "masks")
    for masks in (root / "masks", tmp_path / "link", os.path.relpath(root / "masks")):
        dataset = InpaintingDataset(root, masks, **SMALL)
        assert listed(dataset.images, root) == ["a.png", "b.png"]
        assert len(dataset.masks) == 2
    dataset = InpaintingDataset(root / "masks", root, **SMALL)
    assert listed(dataset.masks.files, root) == ["a.png", "b.png"]


def test_images_that_are_their_own_masks_are_refused(tmp_path):
    save(tmp_path / "data" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    images, relative = tmp_path / "data", os.path.relpath(tmp_path / "data")
    array = np.zeros((2, 32, 32, 3), "uint8")
    for pair in (
        *((images, images), (images, tmp_path / "link"), (str(images), relative)),
        *((images / "a.png", images / "a.png"), (array, array)),
    ):
        with pytest.raises(ValueError, match="`masks` must not be `images`: .*_mask"):
            InpaintingDataset(*pair, **SMALL)


def test_masks_beside_their_images(tmp_path):
    """LaMa's layout."""
    save(tmp_path / "a.jpg", tmp_path / "b_c.png", tmp_path / "party_mask.png")
    save(tmp_path / "b.png")
    for name in ("a_mask001", "b_c_mask000", "b_mask0"):
        hole_mask(32, 0.5).save(tmp_path / f"{name}.png")
    kwargs = {"shuffle": False, **SMALL}
    dataset = InpaintingDataset(tmp_path, tmp_path, **kwargs)
    assert listed(dataset.images, tmp_path) == [
        "a.jpg",
        "b.png",
        "b_c.png",
        "party_mask.png",
    ]
    masks = ["a_mask001.png", "b_mask0.png", "b_c_mask000.png"]
    assert listed(dataset.masks.files, tmp_path) == masks
    with pytest.warns(UserWarning, match=r"3 \(a_mask001.png, .* the mask of the"):
        dataset = InpaintingDataset(tmp_path, **kwargs)
    assert len(dataset.images) == 4
