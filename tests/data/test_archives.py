import io
import tarfile
import zipfile

import pytest

from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.data.images import ImageFiles
from tests.data.common import SMALL, photo

pytestmark = pytest.mark.backend_independent


def image_bytes():
    file = io.BytesIO()
    photo((32, 32)).save(file, "PNG")
    return file.getvalue()


def zip_bytes(members=2):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(members):
            archive.writestr(f"{i}.png", image_bytes())
    return bytearray(file.getvalue())


def cut():
    return zip_bytes()[:-100]


def cut_in_the_middle():
    return zip_bytes()[:2000]


def last_part_of_a_split_zip():
    content = zip_bytes()
    content[-18] = 3  # The number of this part
    return content[len(content) // 2 :]


def first_part_of_a_split_zip():
    return b"PK\7\x08" + zip_bytes()[:3000]


def encrypted():
    content = zip_bytes()
    content[6] |= 1
    content[content.rindex(b"PK\1\2") + 8] |= 1
    return content


def packed_by_deflate64():
    content = zip_bytes()
    content[content.rindex(b"PK\1\2") + 10] = 9
    return content


def damaged_directory():
    content = zip_bytes()
    content[content.index(b"PK\1\2") + 2] = 0
    return content


def tar(mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        info = tarfile.TarInfo("a.png")
        info.size = len(image_bytes())
        archive.addfile(info, io.BytesIO(image_bytes()))
    return file.getvalue()


CASES = {
    "x.tar": (tar, "it is a tar; unpack it, or pack its files as a zip"),
    "x.tgz": (lambda: tar("w:gz"), "it is packed by gzip"),
    "x.tar.bz2": (lambda: tar("w:bz2"), "it is packed by bzip2"),
    "x.tar.xz": (lambda: tar("w:xz"), "it is packed by xz"),
    "x.7z": (lambda: b"7z\xbc\xaf\x27\x1c" + bytes(30), "it is a 7z"),
    "x.rar": (lambda: b"Rar!\x1a\7\1\0" + bytes(30), "it is a RAR"),
    "cut.zip": (cut, "a zip that is cut short, or the first part of a split"),
    "middle.zip": (cut_in_the_middle, "a zip that is cut short"),
    "named.png": (cut, "a zip that is cut short"),
    "split.zip": (last_part_of_a_split_zip, "the last part of a split zip"),
    "split.z01": (first_part_of_a_split_zip, "the first part of a split zip"),
    "split.zip.002": (lambda: bytes(3000), "a part of a split archive"),
    "encrypted.zip": (encrypted, "it is encrypted; unpack it first: 1.png"),
    "deflate64.zip": (packed_by_deflate64, "packed by method 9, which .*: 1.png"),
    "damaged.zip": (damaged_directory, "a zip that cannot be read: Bad magic"),
}


@pytest.mark.parametrize("name", CASES)
def test_archives_that_cannot_be_read_are_called_by_their_names(tmp_path, name):
    make, message = CASES[name]
    path = tmp_path / name
    path.write_bytes(make())
    for argument in ("images", "masks"):
        with pytest.raises(
            ValueError, match=f"`{argument}` must be .*{message}.*{argument}=.*{name}"
        ):
            ImageFiles(path, argument)
    with pytest.raises(ValueError, match="`masks` must be a folder, a zip or an image"):
        InpaintingDataset([photo((32, 32))], path, **SMALL)


def test_archive_in_a_list_is_called_by_its_name(tmp_path):
    (tmp_path / "a.png").write_bytes(tar())
    with pytest.raises(ValueError, match="cannot identify image file: it is a tar"):
        ImageFiles([tmp_path / "a.png"]).load(0)


def test_whole_zip_is_read(tmp_path):
    (tmp_path / "x.zip").write_bytes(zip_bytes())
    assert ImageFiles(tmp_path / "x.zip").load(1).size == (32, 32)
    (tmp_path / "empty.zip").write_bytes(zip_bytes(0))
    with pytest.raises(ValueError, match="must contain an image"):
        ImageFiles(tmp_path / "empty.zip")
