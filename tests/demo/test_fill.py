import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_ctsdg.demo import fill as demo_fill
from keras_ctsdg.demo.fill import PresetCache, fill
from keras_ctsdg.demo.images import (
    PREVIEW_SIZE,
    decode_strokes,
    make_preview,
    to_data_url,
    write_png,
)
from tests.data.common import photo
from tests.inpainting.common import PHOTO, ConstantModel, to_mode

pytestmark = pytest.mark.backend_independent


def make_stroke(width, height):
    """A bar, of the size of the preview of an image of `width` x `height`."""
    width, height = make_preview(Image.new("L", (width, height))).size
    stroke = np.zeros((height, width), "uint8")
    stroke[height // 4 : height // 2, width // 4 : width // 2] = 255
    return stroke


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_only_pixels_under_the_stroke_change(mode, tmp_path):
    source = to_mode(np.asarray(photo((120, 100))), mode)
    path = tmp_path / f"a.{'tif' if mode == 'CMYK' else 'png'}"
    source.save(path)
    stroke = make_stroke(120, 100)
    filled = fill(ConstantModel(), path, stroke)
    write_png(filled.image, tmp_path / "out.png")
    hole = stroke > 0
    assert filled.hole_pixels == hole.sum()
    with Image.open(path) as before, Image.open(tmp_path / "out.png") as after:
        assert after.mode == {"CMYK": "RGB", "I": "I;16"}.get(before.mode, before.mode)
        if mode == "CMYK":
            before = before.convert("RGB")
        before, after = np.asarray(before), np.asarray(after)
    np.testing.assert_array_equal(after[~hole], before[~hole])
    assert (after[hole] != before[hole]).any()


def test_large_rotated_photo_keeps_its_size(tmp_path):
    source = Image.fromarray(np.resize(PHOTO, (1200, 1800, 3)))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a photo"
    source.save(tmp_path / "a.jpg", exif=exif, icc_profile=b"profile")
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg"))
    assert upright.size == (1200, 1800)
    stroke = np.zeros((1024, 683), "uint8")
    stroke[100:200, 300:400] = 255
    filled = fill(ConstantModel(), tmp_path / "a.jpg", stroke)
    write_png(filled.image, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as found:
        assert found.getexif().get(0x0112, 1) == 1
        assert found.getexif()[0x010E] == "a photo"
        assert found.info["icc_profile"] == b"profile"
        changed = (np.asarray(found) != np.asarray(upright)).any(-1)
    rows, columns = np.nonzero(changed)
    scale = 1800 / 1024
    edges = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    assert edges == pytest.approx(np.array([100, 200, 300, 400]) * scale, abs=2)
    assert changed.sum() == pytest.approx((100 * scale) ** 2, rel=0.03)


def test_strokes_and_mask_are_combined(tmp_path):
    photo((120, 100)).save(tmp_path / "a.png")
    mask = np.zeros((100, 120), "uint8")
    mask[80:90, 10:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    files = tmp_path / "a.png", tmp_path / "mask.png"
    stroke = make_stroke(120, 100)
    assert fill(ConstantModel(), files[0], None, files[1]).hole_pixels == 200
    both = fill(ConstantModel(), files[0], stroke, files[1])
    assert both.hole_pixels == 200 + (stroke > 0).sum()


def test_errors_tell_users_what_to_do(tmp_path):
    photo((120, 100)).save(tmp_path / "a.png")
    Image.new("L", (60, 100)).save(tmp_path / "narrow.png")
    (tmp_path / "text.png").write_text("not an image")
    good, stroke = tmp_path / "a.png", make_stroke(120, 100)
    whole, none = np.full_like(stroke, 255), np.zeros_like(stroke)
    for arguments, message in (
        ((None, stroke), "There is no photo yet: drop one"),
        ((tmp_path / "text.png", stroke), "`image` cannot be read"),
        ((good,), "There is no hole yet: paint over"),
        ((good, none), "There is no hole yet: paint over"),
        ((good, whole), "must leave a part of the image"),
        ((good, stroke[:50]), "`strokes` must be of the image's size, 100 x 120"),
        ((good, None, tmp_path / "narrow.png"), "`mask` must be of the image's size"),
        ((good, None, tmp_path / "text.png"), "`mask` cannot be read"),
        ((good, stroke, None, "auto", 3.0, 0.01), "Received: 120 x 100, 0.0 megap"),
        ((good, stroke, None, "full", 1e-6), "memory_limit=1e-06"),
    ):
        with pytest.raises(ValueError, match=message):
            fill(ConstantModel(), *arguments)


def test_strokes_are_decoded_as_the_browser_sends_them():
    stroke = make_stroke(120, 100)
    painted = Image.new("RGBA", (120, 100), "red")
    painted.putalpha(Image.fromarray(stroke))
    np.testing.assert_array_equal(decode_strokes(to_data_url(painted)), stroke)
    assert decode_strokes("") is None
    large = to_data_url(Image.new("RGBA", (PREVIEW_SIZE + 1, 1)))
    for wrong in ("data:image/png;base64,AAAA", "?", large, {"path": "/etc/passwd"}):
        with pytest.raises(ValueError, match="`strokes` must be a PNG with no side"):
            decode_strokes(wrong)


def test_preset_cache_keeps_the_last_preset(monkeypatch):
    loaded = []
    monkeypatch.setattr(
        demo_fill, "from_preset", lambda name, **options: loaded.append(name) or name
    )
    cache = PresetCache(["a", "b", "a"])
    assert cache.names == ["a", "b"]
    assert [cache.get(name) for name in "aabba"] == list("aabba")
    assert loaded == ["a", "b", "a"]
    with pytest.raises(ValueError, match=r"one of \['a', 'b'\]. Received: /etc"):
        cache.get("/etc")
    with pytest.raises(ValueError, match="at least one preset"):
        PresetCache([])
