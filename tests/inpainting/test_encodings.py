"""Lossy encodings, which are written as near to the source as its own quality."""

import imagecodecs
import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from skimage import data

from keras_ctsdg.inpainting.files import save_image
from keras_ctsdg.inpainting.stored_images import read_stored_image
from tests.inpainting.common import to_mode

pytestmark = pytest.mark.backend_independent
LEVELS = data.chelsea()[:256, :256]


def save_again(path, mode="RGB", **options):
    """Write a photo, read it and write it again; return the path of the copy."""
    copy = path.with_stem("copy")
    to_mode(LEVELS, mode).save(path, **options)
    source = read_stored_image(path)
    save_image(source.frames, copy, source)
    return copy


def levels_of(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


@pytest.mark.parametrize(
    ("mode", "subsampling"),
    [("L", 0), ("RGB", 0), ("RGB", 1), ("RGB", 2), ("CMYK", 0)],
)
@pytest.mark.parametrize("quality", [40, 92])
def test_jpeg_keeps_tables_subsampling_and_progressive(
    tmp_path, mode, subsampling, quality
):
    options = {
        "quality": quality,
        "subsampling": subsampling,
        "progressive": quality == 40,
    }
    path = tmp_path / "a.jpg"
    copy = save_again(path, mode, comment=b"hello", **options)
    with Image.open(path) as image, Image.open(copy) as saved:
        assert saved.mode == mode
        assert saved.info == image.info
        if mode != "CMYK":
            assert saved.quantization == image.quantization
            assert [x[1:] for x in saved.layer] == [x[1:] for x in image.layer]
            found = JpegImagePlugin.get_sampling
            assert found(saved) == found(image)
    # What was quantized once changes little when it is quantized alike again.
    assert np.abs(levels_of(copy) - levels_of(path)).mean() < 1


def test_jpeg_of_noise_fits_the_buffer(tmp_path):
    """Its code is longer than Pillow expects of a progressive JPEG."""
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 4)).astype("uint8")
    for mode in ("RGB", "CMYK"):
        levels = noise[..., : len(mode)]
        encoded = imagecodecs.jpeg8_encode(
            np.ascontiguousarray(levels), level=100, subsampling="444", optimize=True
        )
        (tmp_path / "a.jpg").write_bytes(encoded)
        source = read_stored_image(tmp_path / "a.jpg")
        source.encodings[0]["progressive"] = True
        save_image(source.frames, tmp_path / "b.jpg", source)
        difference = levels_of(tmp_path / "b.jpg") - levels_of(tmp_path / "a.jpg")
        assert np.abs(difference).max() <= 3


def test_jpeg_of_rgb_components_stays_so(tmp_path):
    path = tmp_path / "a.jpg"
    copy = save_again(path, quality=90, keep_rgb=True, subsampling=0)
    with Image.open(copy) as saved:
        assert bytes(layer[0] for layer in saved.layer) == b"RGB"
    assert np.abs(levels_of(copy) - levels_of(path)).max() <= 3


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.webp", {}),
        ("a.webp", {"method": 6}),
        ("a.avif", {}),
        ("a.avif", {"subsampling": "4:4:4"}),
        ("a.tif", {"compression": "jpeg"}),
    ],
)
@pytest.mark.parametrize("quality", [50, 90])
def test_quality_is_found_by_size(tmp_path, name, options, quality):
    """With a large block of EXIF, which must not count as pixels."""
    exif = Image.Exif()
    exif[0x010E] = "a photo" * 500
    path = tmp_path / name
    Image.fromarray(LEVELS).save(path, quality=quality, exif=exif, **options)
    source = read_stored_image(path)
    save_image(source.frames, tmp_path / f"copy.{name}", source)
    written = (tmp_path / f"copy.{name}").stat().st_size
    assert path.stat().st_size * 0.97 < written < path.stat().st_size * 1.1
    difference = levels_of(tmp_path / f"copy.{name}") - levels_of(path)
    assert np.abs(difference).mean() < (2.5 if quality == 50 else 1.5)


def test_given_quality_replaces_that_of_the_source(tmp_path):
    for name, options in (
        ("a.jpg", {"quality": 95}),
        ("a.webp", {"lossless": True}),
        ("a.webp", {"quality": 95}),
        ("a.avif", {"quality": 95}),
        ("a.tif", {"compression": "jpeg", "quality": 95}),
    ):
        path = tmp_path / name
        Image.fromarray(LEVELS).save(path, **options)
        source = read_stored_image(path)
        save_image(source.frames, tmp_path / f"copy.{name}", path, quality=30)
        assert (tmp_path / f"copy.{name}").stat().st_size < path.stat().st_size / 3


def test_other_format_is_lossless_or_of_high_quality(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(LEVELS).save(path, quality=50)
    source = read_stored_image(path)
    for ending in ("png", "webp", "tif", "bmp", "ppm", "jp2", "avif", "jpeg"):
        copy = tmp_path / f"copy.{ending}"
        save_image(source.frames, copy, source)
        worst = np.abs(levels_of(copy) - levels_of(path)).mean()
        assert worst < 1.5 if ending in ("avif", "jpeg") else worst == 0
