"""Previews in the metadata of a file would show what a fill has removed."""

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.inpainting import save_image
from keras_ctsdg.inpainting.previews import (
    blank_exif_preview,
    remove_photoshop_previews,
    remove_xmp_previews,
)
from tests.data.common import photo
from tests.inpainting.common import ConstantModel

pytestmark = pytest.mark.backend_independent

PREVIEW = b"\xff\xd8the face that was removed\xff\xd9"
XMP = b"<x><xmp:Thumbnails>face</xmp:Thumbnails><dc:title>beach</dc:title></x>"


def make_exif(order):
    """Return an EXIF block with a description, and a preview in a second directory."""
    text = b"a beach\0"
    # Header, a directory of one entry, its link, the text, then the preview's.
    second = 8 + 2 + 12 + 4 + len(text)
    start = second + 2 + 2 * 12 + 4
    mark = b"II" if order == "<" else b"MM"
    return b"".join(
        [
            mark + struct.pack(f"{order}HIH", 42, 8, 1),
            struct.pack(f"{order}HHIII", 270, 2, len(text), 26, second),
            text,
            struct.pack(f"{order}H", 2),
            struct.pack(f"{order}HHII", 513, 4, 1, start),
            struct.pack(f"{order}HHIII", 514, 4, 1, len(PREVIEW), 0),
            PREVIEW,
        ]
    )


def resource(number, name, content):
    name = bytes([len(name)]) + name + b"\0" * ((len(name) + 1) % 2)
    padding = b"\0" * (len(content) % 2)
    size = len(content).to_bytes(4, "big")
    return b"8BIM" + number.to_bytes(2, "big") + name + size + content + padding


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
def test_exif(order, prefix):
    exif = prefix + make_exif(order)
    assert PREVIEW in exif
    found = blank_exif_preview(exif)
    assert len(found) == len(exif)
    assert b"face" not in found
    tags = Image.Exif()
    tags.load(found)
    assert tags[270] == "a beach"
    assert tags.get_ifd(1) == {}
    assert blank_exif_preview(found) == found


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"II*\0\xff\0\0\0", b"no EXIF"])
def test_damaged_exif_is_left_alone(exif):
    assert blank_exif_preview(exif) == exif


def test_xmp():
    expected = b"<x><dc:title>beach</dc:title></x>"
    assert remove_xmp_previews(XMP) == expected


@pytest.mark.parametrize("prefix", [b"", b"Photoshop 3.0\0"])
def test_photoshop(prefix):
    caption, layer = resource(1028, b"", b"caption"), resource(2000, b"abc", b"x")
    previews = resource(1036, b"", PREVIEW) + resource(1033, b"old", PREVIEW + b".")
    found = remove_photoshop_previews(prefix + caption + previews + layer + b"rest")
    assert found == prefix + caption + layer + b"rest"


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_no_filled_file_holds_one(tmp_path, ending):
    path, out = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    options = {"exif": make_exif("<"), "xmp": XMP}
    if ending == "jpg":
        content = b"Photoshop 3.0\0" + resource(1036, b"", PREVIEW)
        size = (len(content) + 2).to_bytes(2, "big")
        options["exif"] = b"Exif\0\0" + options["exif"]
        options["extra"] = b"\xff\xed" + size + content
    photo((40, 30)).convert("RGB").save(path, **options)
    assert b"face" in path.read_bytes()
    mask = np.zeros((30, 40), bool)
    mask[5:10, 5:10] = True
    filled = ConstantModel().inpaint(path, mask)
    for like in (path, None):
        save_image(filled, out, like)
        assert b"face" not in out.read_bytes()
    with Image.open(out) as image:
        assert image.getexif()[270] == "a beach"
    file = BytesIO()
    filled.save(file, "PNG", exif=filled.info["exif"])
    assert b"face" not in file.getvalue()
