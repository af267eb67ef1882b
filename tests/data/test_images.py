import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.data.images import ImageError, ImageFiles
from tests.data.common import photo, zip_folder

pytestmark = pytest.mark.backend_independent

ORIENTATION = 0x0112


@pytest.fixture
def folder(tmp_path):
    """Three images at three depths among other files."""
    images = tmp_path / "images"
    (images / "deep" / "er").mkdir(parents=True)
    (images / "deep-1").mkdir()
    photo((20, 30)).save(images / "deep" / "er" / "b.PNG")
    photo((30, 20), (50, 50)).save(images / "a.jpg")
    photo((10, 10), (90, 90)).save(images / "deep-1" / "a.png")
    (images / "notes.txt").write_text("not an image")
    (images / "._a.jpg").write_bytes(b"metadata of macOS")
    (images / "folder.png").mkdir()
    return images


def test_folder_is_searched_to_any_depth_in_order(folder):
    files = ImageFiles(folder)
    assert [files.name(i) for i in range(len(files))] == [
        str(folder / "a.jpg"),
        str(folder / "deep" / "er" / "b.PNG"),
        str(folder / "deep-1" / "a.png"),
    ]
    assert [files.load(i).size for i in range(3)] == [(30, 20), (20, 30), (10, 10)]


def test_zip_equals_its_folder(folder, tmp_path):
    zip_folder(folder, tmp_path / "all.zip", "inside")
    files, zipped = ImageFiles(folder), ImageFiles(tmp_path / "all.zip")
    assert len(zipped) == len(files)
    assert zipped.name(0) == f"{tmp_path}/all.zip/inside/a.jpg"
    for i in range(len(files)):
        assert zipped.load(i).tobytes() == files.load(i).tobytes()
    again = pickle.loads(pickle.dumps(zipped))
    assert again.load(1).tobytes() == files.load(1).tobytes()


def test_list_of_all_kinds():
    image = photo((8, 4))
    array = np.asarray(image)
    gray = array[..., 0] > 100
    files = ImageFiles([image, array, array / 255, gray, gray[..., None]])
    for i in range(3):
        np.testing.assert_array_equal(np.asarray(files.load(i)), array)
    for i in (3, 4):
        expected = np.broadcast_to(255 * gray[..., None], array.shape)
        np.testing.assert_array_equal(np.asarray(files.load(i)), expected)
    assert files.name(2) == "images[2]"


def test_single_image(folder):
    assert len(ImageFiles(folder / "a.jpg")) == 1


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "LAB", "HSV"])
def test_color_modes(tmp_path, mode):
    path = tmp_path / ("x.tif" if mode in ("LAB", "CMYK") else "x.png")
    image = photo((32, 32)).convert(mode)
    if mode in ("YCbCr", "HSV"):
        files = ImageFiles([image])
    else:
        image.save(path)
        files = ImageFiles([path])
    loaded = files.load(0)
    assert loaded.mode == "RGB"
    assert loaded.tobytes() == image.convert("RGB").tobytes()


def test_cmyk_jpeg(tmp_path):
    photo((32, 32)).convert("CMYK").save(tmp_path / "x.jpg", quality=100)
    loaded = np.asarray(ImageFiles(tmp_path).load(0), "int32")
    assert np.abs(loaded - np.asarray(photo((32, 32)))).mean() < 8


def test_transparent_becomes_white(tmp_path):
    image = Image.new("RGBA", (4, 2), (255, 0, 0, 255))
    image.putpixel((0, 0), (0, 255, 0, 0))
    image.save(tmp_path / "x.png")
    files = ImageFiles(tmp_path)
    assert files.load(0).getpixel((0, 0)) == (255, 255, 255)
    assert files.load(0).getpixel((1, 0)) == (255, 0, 0)


def test_transparent_palette(tmp_path):
    image = photo((8, 8)).quantize(4)
    image.save(tmp_path / "x.png", transparency=image.getpixel((3, 3)))
    assert ImageFiles(tmp_path).load(0).getpixel((3, 3)) == (255, 255, 255)


def test_sixteen_bits(tmp_path):
    levels = np.array([[0, 257, 32896, 65535]], "uint16")
    Image.fromarray(levels).save(tmp_path / "x.png")
    loaded = np.asarray(ImageFiles(tmp_path).load(0))
    np.testing.assert_array_equal(loaded[0, :, 0], [0, 1, 128, 255])


def test_first_frame_of_an_animation(tmp_path):
    first, second = photo((16, 16)), photo((16, 16), (200, 200))
    first.save(tmp_path / "x.gif", save_all=True, append_images=[second])
    loaded = np.asarray(ImageFiles(tmp_path).load(0), "int32")
    assert np.abs(loaded - np.asarray(first)).mean() < 8


def test_exif_rotation(tmp_path):
    image = photo((30, 20))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # Rotated clockwise when shown.
    image.save(tmp_path / "x.png", exif=exif)
    loaded = ImageFiles(tmp_path).load(0)
    expected = image.transpose(Image.Transpose.ROTATE_270)
    assert loaded.tobytes() == expected.tobytes()


def test_damaged_exif_is_ignored(tmp_path):
    photo((30, 20)).save(tmp_path / "x.jpg", exif=b"Exif\0\0no such thing")
    assert ImageFiles(tmp_path).load(0).size == (30, 20)


def test_large_jpeg_is_decoded_small(tmp_path):
    Image.fromarray(np.zeros((1024, 2048, 3), "uint8")).save(tmp_path / "x.jpg")
    files = ImageFiles(tmp_path)
    assert files.load(0).size == (2048, 1024)
    assert files.load(0, shrink_to=200).size == (512, 256)


def write_unreadable(kind, tmp_path):
    path = tmp_path / "bad.png"
    if kind == "truncated":
        photo().save(path)
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "not an image":
        path.write_text("not an image")
    elif kind == "empty":
        path.touch()
    elif kind == "bomb":
        Image.new("1", (20000, 20000)).save(path)
    elif kind == "floating":
        path = tmp_path / "bad.tif"
        Image.fromarray(np.ones((4, 4), "float32")).save(path)
    elif kind == "deep":
        path = tmp_path / "bad.tif"
        Image.fromarray(np.full((4, 4), 70000, "int32")).save(path)
    elif kind == "postscript":
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    return path


REASONS = {
    "truncated": "truncated",
    "not an image": "cannot identify",
    "empty": "cannot identify",
    "bomb": "exceeds limit",
    "floating": "floating-point",
    "deep": "more than 16 bits",
    "postscript": "cannot identify",
}


@pytest.mark.parametrize("kind", REASONS)
def test_unreadable_files_are_named(tmp_path, kind):
    photo((8, 8)).save(tmp_path / "a.png")
    path = write_unreadable(kind, tmp_path)
    files = ImageFiles(tmp_path)
    files.load(0)
    with pytest.raises(ImageError, match=f"Image 1 of `images`.*{REASONS[kind]}") as e:
        files.load(1)
    assert f"Received: {path}" in str(e.value)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.png", {}),
        ("x.gif", {}),
        ("x.jpg", {"progressive": True}),
        ("x.tif", {"compression": "tiff_lzw"}),
        ("x.jp2", {}),
    ],
)
def test_damage_inside_an_image_is_reported(tmp_path, name, options):
    path = tmp_path / name
    photo().save(path, **options)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = b"\xff" * 40
    if name == "x.jp2":
        del content[middle:]
    path.write_bytes(content)
    with pytest.raises(ImageError, match=f"cannot be read.*Received: .*{name}"):
        ImageFiles(path).load(0, shrink_to=100)


def test_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_ctsdg.data.archives.MAX_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.png", bytes(2000))
    with pytest.raises(ImageError, match="unpacks to more than 1000 bytes"):
        ImageFiles(tmp_path / "x.zip").load(0)


def test_damaged_zip_entry_is_named(tmp_path):
    photo().save(tmp_path / "x.png")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "x.png", "x.png")
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[5000:5010] = bytes(10)
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(ImageError, match="CRC-32.*Received: .*x.zip/x.png"):
        ImageFiles(tmp_path / "x.zip").load(0)


def test_bad_sources(tmp_path):
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(ValueError, match="`images` must contain an image.*Received: "):
        ImageFiles(tmp_path)
    with pytest.raises(ValueError, match="that exists. Received: masks=/nowhere"):
        ImageFiles("/nowhere", "masks")
    with pytest.raises(ValueError, match=r"`images\[1\]` must be a file"):
        ImageFiles([tmp_path / "notes.txt", tmp_path / "absent.png"])
    with pytest.raises(ValueError, match=r"`images\[0\]` must be .*shape=\(4, 4, 2\)"):
        ImageFiles([np.zeros((4, 4, 2))])
    with pytest.raises(ValueError, match="type int"):
        ImageFiles([3])
    with pytest.raises(ImageError, match="neither uint8 nor within"):
        ImageFiles([np.full((4, 4, 3), 7.0)]).load(0)
