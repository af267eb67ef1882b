"""Remote storage, for which `file://` and fsspec's `memory://` stand in."""

import pickle
import re

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.data.images import ImageError, ImageFiles
from keras_ctsdg.data.remote import RemotePath
from keras_ctsdg.data.sources import expand_user
from tests.data.common import SMALL, hole_mask, photo

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def memory():
    yield MemoryFileSystem()
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def folder(tmp_path):
    """Images, among them hidden ones and masks beside them, and a file of text."""
    folder = tmp_path / "some photos"
    (folder / "sub").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for name in ("b.png", "sub/a.jpg", ".hidden/c.png", ".d.png"):
        photo((40, 32)).save(folder / name)
    hole_mask(32, 0.3).resize((40, 32)).save(folder / "b_mask001.png")
    (folder / "notes.txt").write_text("no image")
    (folder / "raw.cr2").write_text("no image")
    return folder


def test_paths():
    path = RemotePath("s3://bucket/photos/?region=eu-west-1") / "sub/a.tar.png"
    assert str(path) == "s3://bucket/photos/sub/a.tar.png"
    assert (path.name, path.suffix) == ("a.tar.png", ".png")
    assert str(path.with_suffix(".jpg")) == "s3://bucket/photos/sub/a.tar.jpg"
    single = expand_user("s3://bucket/a.png?region=eu-west-1").with_suffix(".jpg")
    assert str(single) == "s3://bucket/a.jpg"
    assert single.root == "s3://bucket/a.jpg?region=eu-west-1"
    assert path == pickle.loads(pickle.dumps(path))
    assert len({path, RemotePath("s3://bucket/photos") / "sub" / "a.tar.png"}) == 1
    assert path.is_below(RemotePath("s3://bucket/photos"))
    assert not RemotePath("s3://bucket/photos2").is_below(RemotePath("s3://bucket/p"))
    assert not isinstance(expand_user("photos/a.png"), RemotePath)
    assert not isinstance(expand_user("C:/photos"), RemotePath)


@pytest.mark.parametrize("storage", ["file", "memory"])
def test_folders_are_listed_as_local_ones(folder, memory, storage):
    if storage == "file":
        uri = folder.as_uri()
    else:
        uri = "memory://photos"
        memory.put(str(folder), "/photos", recursive=True)
    root = RemotePath(uri)
    assert (root.exists(), root.is_dir(), root.is_file()) == (True, True, False)
    assert not (root / "none").exists()
    local, found = ImageFiles(folder), ImageFiles(uri, "images", [root / "sub"])
    paths = [str(source.path) for source in ImageFiles(uri).sources]
    assert paths == [str(source.path) for source in local.sources]
    assert len(paths) == 3
    assert found.names() == [f"{root}/b.png", f"{root}/b_mask001.png"]
    assert list(found.not_taken) == [f"{root}/raw.cr2"]
    np.testing.assert_array_equal(found.load(0), local.load(0))


def test_data_set_of_remote_files(folder):
    sources = dict(images=folder, masks=folder), dict(images=folder.as_uri())
    sources[1]["masks"] = folder.as_uri()
    (folder / "sub" / "a.jpg").unlink()
    with pytest.warns(UserWarning, match="not taken.*raw.cr2"):
        local, remote = (InpaintingDataset(**x, **SMALL, seed=3) for x in sources)
    remote = pickle.loads(pickle.dumps(remote))
    for key, value in local[0].items():
        np.testing.assert_array_equal(remote[0][key], value)
    (folder / "b.png").write_text("no image")
    with pytest.raises(ImageError, match="cannot identify .*Received: file://.*b.png"):
        remote[0]


def test_files_appear_when_they_are_complete(folder, tmp_path, memory, monkeypatch):
    for uri in (f"{tmp_path.as_uri()}/out", "memory://out"):
        target = RemotePath(uri) / "sub" / "a copy.png"
        target.upload(folder / "b.png")
        assert target.read() == (folder / "b.png").read_bytes()
        target.download(tmp_path / "back.png")
        assert (tmp_path / "back.png").read_bytes() == target.read()
        assert target.read(4) == b"\x89PNG"
        assert [str(x) for x in RemotePath(uri).list_files()] == ["sub/a copy.png"]
        assert RemotePath(f"{uri}/none").list_files() == []
    before = target.read()

    def fail(source, part):
        part.write(b"a part")
        raise OSError("no network")

    monkeypatch.setattr("keras_ctsdg.data.remote._copy", fail)
    with pytest.raises(OSError, match="no network"):
        target.upload(folder / "sub" / "a.jpg")
    assert target.read() == before


def test_storage_that_cannot_be_opened(monkeypatch, folder):
    for uri, message in (
        ("nowhere://photos", "PyArrow or fsspec opens, .*Received: nowhere://photos"),
        (f"{folder.as_uri()}/none", "that exists; .*Received: images=file:///.*none"),
        (f"{folder.as_uri()}/sub/a.zip", "unpack zips in remote storage. .*a.zip"),
    ):
        with pytest.raises(ValueError, match=message):
            ImageFiles(uri)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    message = re.escape('pip install "keras-ctsdg[ray]". Received: gs://bucket/other')
    with pytest.raises(ImportError, match=message):
        ImageFiles("gs://bucket/other?anonymous=true")
