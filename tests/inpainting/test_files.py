from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from keras_ctsdg.inpainting import Image16
from keras_ctsdg.inpainting.editable_image import open_editable
from keras_ctsdg.inpainting.files import copy_image, save_image
from keras_ctsdg.inpainting.stored_images import read_stored_image
from tests.data.common import photo
from tests.inpainting.kinds import LOSSLESS

pytestmark = pytest.mark.backend_independent
HOLE = np.zeros((40, 50), bool)
HOLE[10:20, 12:30] = True


def fill_white(image, hole=HOLE):
    """Fill the hole of a frame with white, without a network."""
    editable = open_editable(image, "image")
    colors = np.ones((*hole.shape, 3), "float32")
    editable.replace_colors((slice(None), slice(None)), colors, hole)
    return editable.result()


def read_stored(path):
    """Read all the bits of a file, not by the package's own reader."""
    if path.name.startswith(("rgb16", "rgba16", "la16")):
        if path.suffix == ".png":
            return imagecodecs.png_decode(path.read_bytes())
        levels = tifffile.TiffFile(path).pages[0].asarray()
        return np.moveaxis(levels, 0, -1) if levels.shape[0] == 3 else levels
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA") if image.mode == "P" else image)


@pytest.mark.parametrize("name", LOSSLESS)
def test_every_bit_outside_the_hole_is_kept(tmp_path, name):
    path, out = tmp_path / name, tmp_path / "out" / name
    LOSSLESS[name](path)
    source = read_stored_image(path)
    filled = fill_white(source.frames[0])
    save_image(filled, out, source)
    before, after = read_stored(path), read_stored(out)
    if name == "1.gif":
        # Its two levels come back as a palette.
        after = after[..., 0]
    assert after.dtype == before.dtype
    np.testing.assert_array_equal(after[~HOLE], before[~HOLE])
    assert (after[HOLE] != before[HOLE]).any()
    assert source.notes == []
    if isinstance(filled, Image16):
        assert after.dtype == np.uint16
        return
    with Image.open(path) as stored, Image.open(out) as saved:
        assert saved.format == stored.format
        assert saved.info == stored.info


def fail_halfway(path, *args, **kwargs):
    Path(path).write_bytes(b"half")
    raise OSError("No space left on device")


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(
        Image.Image, "save", lambda self, *args, **_: fail_halfway(*args)
    )
    with pytest.raises(OSError, match="No space"):
        save_image(photo(), path)
    monkeypatch.setattr("shutil.copyfile", lambda source, target: fail_halfway(target))
    with pytest.raises(OSError, match="No space"):
        copy_image(tmp_path / "source.png", path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"old"


def test_webp_keeps_colors_under_transparent_pixels(tmp_path):
    image = photo((40, 30)).convert("RGBA")
    image.putalpha(0)
    save_image(image, tmp_path / "a.webp")
    with Image.open(tmp_path / "a.webp") as saved:
        np.testing.assert_array_equal(saved, image)


def test_format_that_cannot_hold_the_image_is_refused(tmp_path):
    image = photo((40, 30))
    deep = Image16(np.zeros((4, 5, 3), "uint16"))
    keyed = image.copy()
    keyed.info["transparency"] = (1, 2, 3)
    for frames, name, message in (
        (image, "a.text", r"`path` must end .*Received: path=.*a.text"),
        (image, "a", r"`path` must end .*Received: path=.*a$"),
        (image, "a.eps", "`path` must end as an image format does"),
        (image.convert("RGBA"), "a.jpg", "mode RGBA: .*WEBP.* Received: path=.*a.jpg"),
        (image.convert("RGBA"), "a.ppm", "mode RGBA"),
        (image.convert("LA"), "a.bmp", "mode LA"),
        (image.convert("CMYK"), "a.png", "mode CMYK: JPEG, "),
        (image, "a.gif", "mode RGB"),
        (keyed, "a.tif", "mode RGB, with a transparent color: "),
        (deep, "a.jpg", "mode 16-bit: PNG, TIFF"),
        (Image.new("I;16", (4, 5)), "a.webp", "mode I;16: JPEG2000, PNG, "),
        ([image, image], "a.jpg", "mode RGB, 2 times: AVIF, "),
    ):
        with pytest.raises(ValueError, match=message):
            save_image(frames, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
