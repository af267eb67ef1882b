"""What describes an image beside its pixels, from file to file."""

from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin, TiffImagePlugin

from keras_ctsdg.inpainting import InpaintOptions
from keras_ctsdg.inpainting.batch import InpaintBatch
from keras_ctsdg.inpainting.containers import png_chunks, replace_png_pixels
from keras_ctsdg.inpainting.files import save_image
from keras_ctsdg.inpainting.stored_images import read_stored_image
from tests.data.common import photo
from tests.inpainting.common import ConstantModel
from tests.inpainting.kinds import DEEP

pytestmark = pytest.mark.backend_independent
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
# As long as the shortest profile that PNG readers accept.
PROFILE = bytes(128)
FORMATS = {"jpg": "JPEG", "webp": "WEBP", "ppm": "PPM"}


def make_exif():
    exif = Image.Exif()
    exif[0x010E] = "a photo"
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x829A] = 0.25
    exif.get_ifd(0x8825)[1] = "N"
    return exif


def write(path):
    options = {"exif": make_exif(), "icc_profile": PROFILE, "dpi": (144, 144)}
    if path.suffix in (".tif", ".tiff"):
        options["tiffinfo"] = TiffImagePlugin.ImageFileDirectory_v2()
        options["tiffinfo"][700] = XMP
        options["tiffinfo"][0x010E] = "a photo"
        options["compression"] = "tiff_lzw"
    if path.suffix == ".png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    photo((50, 40)).save(path, xmp=XMP, **options)


def copy(path, out):
    source = read_stored_image(path)
    save_image([frame.copy() for frame in source.frames], out, source)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "avif", "tif"])
def test_metadata_are_kept(tmp_path, ending):
    path, out = tmp_path / f"a.{ending}", tmp_path / "sub" / f"b.{ending}"
    write(path)
    copy(path, out)
    with Image.open(path) as image, Image.open(out) as saved:
        image.load()
        saved.load()
        before, after = image.getexif(), saved.getexif()
        assert after[0x010E] == "a photo"
        assert after.get(0x0112) == before.get(0x0112)
        for ifd in (0x8769, 0x8825):
            assert after.get_ifd(ifd) == before.get_ifd(ifd)
        for name in ("icc_profile", "xmp", "dpi"):
            assert saved.info.get(name) == image.info.get(name)
        assert saved.info["icc_profile"] == PROFILE
        assert saved.info["xmp"].rstrip(b"\0") == XMP


@pytest.mark.parametrize("source", ["jpg", "png", "webp", "avif", "tif"])
@pytest.mark.parametrize("target", ["jpg", "png", "webp", "avif", "tif"])
def test_metadata_go_to_another_format(tmp_path, source, target):
    path, out = tmp_path / f"a.{source}", tmp_path / f"b.{target}"
    write(path)
    copy(path, out)
    with Image.open(out) as saved:
        saved.load()
        assert saved.getexif()[0x010E] == "a photo"
        assert saved.info["icc_profile"] == PROFILE
        assert saved.info["xmp"].rstrip(b"\0") == XMP
        if not {source, target} & {"webp", "avif"}:
            assert float(saved.info["dpi"][0]) == pytest.approx(144, 1e-3)


def test_every_chunk_of_a_png_is_kept(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a photo")
    info.add_text("Comment", "compressed", zip=True)
    info.add_itxt("Author", "Ärzte", "de", "Autor")
    info.add(b"gAMA", (45455).to_bytes(4, "big"))
    info.add(b"cICP", bytes([9, 16, 0, 1]))
    info.add(b"tIME", bytes(7))
    info.add(b"prVt", b"of some program", after_idat=True)
    image = photo((50, 40)).quantize(16)
    options = {"dpi": (72, 72), "icc_profile": PROFILE, "exif": make_exif()}
    image.save(tmp_path / "a.png", pnginfo=info, **options)
    copy(tmp_path / "a.png", tmp_path / "b.png")
    before, after = (
        [x for x in png_chunks((tmp_path / name).read_bytes()) if x[0] != b"IDAT"]
        for name in ("a.png", "b.png")
    )
    assert sorted(after) == sorted(before)
    kinds = [kind for kind, _ in after]
    # The order that the specification demands.
    assert kinds.index(b"iCCP") < kinds.index(b"PLTE") < kinds.index(b"eXIf")
    assert kinds[-2:] == [b"prVt", b"IEND"]


def test_damaged_chunks_are_left_out():
    def encode(**options):
        file = BytesIO()
        photo((5, 4)).save(file, "PNG", **options)
        return file.getvalue()

    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a photo")
    source = encode(pnginfo=info)
    broken = source.replace(b"a photo", b"A photo")
    encoded = encode()
    assert replace_png_pixels(source, encoded) == source
    assert replace_png_pixels(broken, encoded) == encoded
    assert replace_png_pixels(source[:50], encoded) == encoded


def test_metadata_of_16_bits_are_kept(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        DEEP,
        photometric="rgb",
        compression="zlib",
        resolution=(300, 300),
        resolutionunit="CENTIMETER",
        iccprofile=PROFILE,
        description="a photo",
        extratags=[(700, 1, None, XMP, True), (274, 3, 1, 6, True)],
    )
    copy_16(path, tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        tags = file.pages[0].tags
        assert tags.valueof(270) == "a photo"
        assert tags.valueof(259) == 8
        assert tags.valueof(274) == 6
        assert tags.valueof(282) == (300, 1)
        assert tags.valueof(296) == 3
        assert bytes(tags.valueof(700)) == XMP
        assert bytes(tags.valueof(34675)) == PROFILE
    copy_16(path, tmp_path / "b.png")
    copy_16(tmp_path / "b.png", tmp_path / "c.tif")
    for name in ("b.png", "c.tif"):
        source = read_stored_image(tmp_path / name)
        assert source.info["icc_profile"] == PROFILE
        assert source.frames[0].orientation == 6
        np.testing.assert_array_equal(source.frames[0], DEEP)


def copy_16(path, out):
    source = read_stored_image(path)
    save_image(source.frames, out, source)


def test_captions_of_a_jpeg_are_kept(tmp_path):
    path = tmp_path / "a.jpg"
    caption = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0c\x1c\x02x\0\x07a photo"
    segment = b"\xff\xed" + (len(caption) + 2).to_bytes(2, "big") + caption
    photo((50, 40)).save(path, extra=segment)
    copy(path, tmp_path / "b.jpg")
    assert segment in (tmp_path / "b.jpg").read_bytes()


def test_metadata_that_another_format_does_not_hold_are_noted(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a photo")
    path, mask = tmp_path / "a.png", tmp_path / "mask.png"
    photo((50, 40)).save(path, pnginfo=info, dpi=(72, 72), icc_profile=PROFILE)
    Image.new("L", (50, 40)).save(mask)
    for ending, lost in (
        ("png", None),
        ("jpg", "text"),
        ("webp", "resolution, text"),
        ("ppm", "color profile, resolution, text"),
    ):
        batch = InpaintBatch(path, mask, tmp_path / "out" / f"a.{ending}")
        batch.run(ConstantModel(), InpaintOptions())
        (note,) = batch.report.notes.values() or (None,)
        assert note == (
            lost and f"{FORMATS.get(ending)} is written without its {lost}."
        )
