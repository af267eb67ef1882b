import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_ctsdg.demo import work
from keras_ctsdg.inpainting import inpaint
from tests.data.common import photo
from tests.inpainting.common import PHOTO, StandIn, as_mode


class Model(StandIn):
    inpaint = inpaint


def stroke_on(width, height):
    """A bar of the size at which a picture of this one is shown."""
    width, height = work.shrink(Image.new("L", (width, height))).size
    stroke = np.zeros((height, width), "uint8")
    stroke[height // 4 : height // 2, width // 4 : width // 2] = 255
    return stroke


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_all_but_the_stroke_stays(mode, tmp_path):
    source = as_mode(np.asarray(photo((120, 100))), mode)
    path = tmp_path / f"a.{'tif' if mode == 'CMYK' else 'png'}"
    source.save(path)
    stroke = stroke_on(120, 100)
    filled = work.fill(Model(), path, stroke)
    work.write_png(filled.picture, tmp_path / "out.png")
    hole = stroke > 0
    assert filled.pixels == hole.sum()
    with Image.open(path) as before, Image.open(tmp_path / "out.png") as after:
        assert after.mode == {"CMYK": "RGB", "I": "I;16"}.get(before.mode, before.mode)
        if mode == "CMYK":
            before = before.convert("RGB")
        before, after = np.asarray(before), np.asarray(after)
    np.testing.assert_array_equal(after[~hole], before[~hole])
    assert (after[hole] != before[hole]).any()


def test_a_large_turned_photo_keeps_its_size(tmp_path):
    source = Image.fromarray(np.resize(PHOTO, (1200, 1800, 3)))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a photo"
    source.save(tmp_path / "a.jpg", exif=exif, icc_profile=b"profile")
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg"))
    assert upright.size == (1200, 1800)
    stroke = np.zeros((1024, 683), "uint8")
    stroke[100:200, 300:400] = 255
    filled = work.fill(Model(), tmp_path / "a.jpg", stroke)
    work.write_png(filled.picture, tmp_path / "out.png")
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


def test_strokes_and_mask_come_together(tmp_path):
    photo((120, 100)).save(tmp_path / "a.png")
    mask = np.zeros((100, 120), "uint8")
    mask[80:90, 10:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    files = tmp_path / "a.png", tmp_path / "mask.png"
    stroke = stroke_on(120, 100)
    assert work.fill(Model(), files[0], None, files[1]).pixels == 200
    both = work.fill(Model(), files[0], stroke, files[1])
    assert both.pixels == 200 + (stroke > 0).sum()


def test_errors_say_what_to_do(tmp_path):
    photo((120, 100)).save(tmp_path / "a.png")
    photo((60, 100)).save(tmp_path / "narrow.png")
    (tmp_path / "text.png").write_text("no picture")
    good, stroke = tmp_path / "a.png", stroke_on(120, 100)
    whole, none = np.full_like(stroke, 255), np.zeros_like(stroke)
    for arguments, message in (
        ((None, stroke), "There must be a picture: drop one"),
        ((tmp_path / "text.png", stroke), "`image` can't be read"),
        ((good,), "There must be a hole: paint over"),
        ((good, none), "There must be a hole: paint over"),
        ((good, whole), "must leave a part of the picture"),
        ((good, stroke[:50]), "`strokes` must be of the picture's size, 100 x 120"),
        ((good, None, tmp_path / "narrow.png"), "`mask` must be of the picture's size"),
        ((good, None, tmp_path / "text.png"), "`mask` can't be read"),
        ((good, stroke, None, "auto", 3.0, 0.01), "Received: 120 x 100, 0.0 megap"),
        ((good, stroke, None, "full", 1e-6), "memory_limit=1e-06"),
    ):
        with pytest.raises(ValueError, match=message):
            work.fill(Model(), *arguments)


def test_strokes_as_the_browser_sends_them():
    stroke = stroke_on(120, 100)
    painted = Image.new("RGBA", (120, 100), "red")
    painted.putalpha(Image.fromarray(stroke))
    np.testing.assert_array_equal(work.read_strokes(work.data_url(painted)), stroke)
    assert work.read_strokes("") is None
    large = work.data_url(Image.new("RGBA", (work.SHOWN + 1, 1)))
    for wrong in ("data:image/png;base64,AAAA", "?", large, {"path": "/etc/passwd"}):
        with pytest.raises(ValueError, match="`strokes` must be a PNG with no side"):
            work.read_strokes(wrong)


def test_models_come_by_name(monkeypatch):
    loaded = []
    monkeypatch.setattr(
        work, "from_preset", lambda name, **options: loaded.append(name) or name
    )
    models = work.Models(["a", "b", "a"])
    assert models.names == ["a", "b"]
    assert [models.get(name) for name in "aabba"] == list("aabba")
    assert loaded == ["a", "b", "a"]
    with pytest.raises(ValueError, match=r"one of \['a', 'b'\]. Received: /etc"):
        models.get("/etc")
    with pytest.raises(ValueError, match="There must be a preset: none is installed"):
        work.Models([])
