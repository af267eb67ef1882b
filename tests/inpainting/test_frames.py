"""Files of several frames or pages, filled whole."""

import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.inpainting import FileOptions, InpaintOptions
from keras_ctsdg.inpainting.batch import InpaintBatch
from tests.inpainting.common import FILL_COLOR, PHOTO, ConstantModel, to_mode

pytestmark = pytest.mark.backend_independent
SIZE = 40, 50
DURATIONS = [40, 250, 70]


def make_frames(alpha=False):
    """Three frames; with alpha, a transparent square moves through them."""
    frames = []
    for i in range(3):
        levels = PHOTO[100 + 20 * i :, 150:][: SIZE[0], : SIZE[1]] // 64 * 64
        if alpha:
            opaque = np.full((*SIZE, 1), 255, "uint8")
            opaque[5 + i : 12 + i, 30:40] = 0
            levels = np.dstack([levels, opaque])
        frames.append(Image.fromarray(levels))
    return frames


def save_frames(path, frames, **options):
    first, *others = frames
    first.save(path, save_all=True, append_images=others, **options)


def make_masks(count):
    masks = []
    for i in range(count):
        mask = np.zeros(SIZE, "uint8")
        mask[20 + i : 30, 12:30] = 255
        masks.append(Image.fromarray(mask))
    return masks


def read_frames(path):
    """Read frames as shown, `[N, H, W, 4]`, and their durations."""
    with Image.open(path) as image:
        levels, durations = [], []
        for i in range(getattr(image, "n_frames", 1)):
            image.seek(i)
            shown = np.array(image.convert("RGBA"))
            # The colors of transparent pixels are shown nowhere.
            shown[shown[..., 3] == 0] = 0
            levels.append(shown)
            durations.append(image.info.get("duration"))
    return np.stack(levels), durations


def fill(tmp_path, path, mask, out, **files):
    batch = InpaintBatch(path, mask, out, files=FileOptions(**files))
    batch.run(ConstantModel(), InpaintOptions())
    return batch.report


ANIMATIONS = {
    "a.gif": {"loop": 3},
    "a.webp": {"loop": 3, "lossless": True},
    "a.png": {"loop": 3},
}


@pytest.mark.parametrize("name", ANIMATIONS)
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("mask_count", [1, 3])
def test_animation_is_filled_frame_by_frame(tmp_path, name, alpha, mask_count):
    path, out = tmp_path / name, tmp_path / "out" / name
    options = {"disposal": 2} if name == "a.gif" else {}
    save_frames(
        path, make_frames(alpha), duration=DURATIONS, **ANIMATIONS[name], **options
    )
    save_frames(tmp_path / "mask.gif", make_masks(mask_count))
    report = fill(tmp_path, path, tmp_path / "mask.gif", out, frames="all")
    assert report.failed == {}
    assert report.notes == {}
    before, durations = read_frames(path)
    after, kept_durations = read_frames(out)
    assert kept_durations == durations == DURATIONS
    masks = make_masks(mask_count) * (3 // mask_count)
    for i, mask in enumerate(masks):
        hole = np.asarray(mask) > 0
        np.testing.assert_array_equal(after[i][~hole], before[i][~hole])
        assert (after[i][hole] != before[i][hole]).any(axis=-1).mean() > 0.5
    with Image.open(path) as image, Image.open(out) as saved:
        assert saved.format == image.format
        assert saved.info["loop"] == image.info["loop"] == 3


def test_lossy_animations_are_filled(tmp_path):
    for name in ("a.webp", "a.avif"):
        path, out = tmp_path / name, tmp_path / "out" / name
        save_frames(path, make_frames(), duration=DURATIONS, quality=90)
        make_masks(1)[0].save(tmp_path / "mask.png")
        report = fill(tmp_path, path, tmp_path / "mask.png", out, frames="all")
        assert report.failed == {}
        after, durations = read_frames(out)
        assert durations == DURATIONS
        assert np.abs(after[:, 24:26, 18:22, :3] - np.float32(FILL_COLOR)).mean() < 9


def test_pages_of_a_tiff_keep_their_modes_and_compressions(tmp_path):
    path, out = tmp_path / "a.tif", tmp_path / "out" / "a.tif"
    pages = []
    for mode, compression, text in (
        ("1", "group4", "first"),
        ("RGB", "tiff_lzw", None),
        ("CMYK", "raw", "third"),
        ("I;16", "tiff_adobe_deflate", None),
    ):
        page = to_mode(np.ascontiguousarray(PHOTO[: SIZE[0], : SIZE[1]]), mode)
        page.encoderinfo = {"compression": compression, "dpi": (72, 72)}
        if text:
            page.encoderinfo["description"] = text
        pages.append(page)
    pages[0].save(path, save_all=True, append_images=pages[1:], **pages[0].encoderinfo)
    make_masks(1)[0].save(tmp_path / "mask.png")
    report = fill(tmp_path, path, tmp_path / "mask.png", out, frames="all")
    assert report.failed == {}
    hole = np.asarray(make_masks(1)[0]) > 0
    with Image.open(path) as image, Image.open(out) as saved:
        assert saved.n_frames == 4
        for i in range(4):
            image.seek(i)
            saved.seek(i)
            assert saved.mode == image.mode
            assert saved.info["compression"] == image.info["compression"]
            assert saved.tag_v2.get(270) == image.tag_v2.get(270)
            before, after = np.asarray(image), np.asarray(saved)
            np.testing.assert_array_equal(after[~hole], before[~hole])
            assert (after[hole] != before[hole]).any()


def test_several_frames_are_refused_unless_chosen(tmp_path):
    path, mask = tmp_path / "a.gif", tmp_path / "mask.png"
    make_masks(1)[0].save(mask)
    save_frames(path, make_frames())
    with pytest.raises(ValueError, match="it has 3 frames, of which .*frames=.all"):
        InpaintBatch(path, mask, tmp_path / "b.gif")
    report = fill(tmp_path, path, mask, tmp_path / "b.gif", frames="first")
    assert report.filled == [str(path)]
    assert report.notes == {str(path): "Of its 3 images or frames, the first is kept."}
    assert len(read_frames(tmp_path / "b.gif")[0]) == 1
    for ending in ("jpg", "ppm"):
        with pytest.raises(ValueError, match=f"`out` must .*3 times.*a.{ending}"):
            fill(tmp_path, path, mask, tmp_path / f"a.{ending}", frames="all")
    with pytest.warns(UserWarning, match="Of its 3 images or frames, the") as caught:
        ConstantModel().inpaint(path, mask)
    assert caught[0].filename == __file__


def test_masks_of_another_number_of_frames_are_refused(tmp_path):
    path, mask = tmp_path / "a.gif", tmp_path / "mask.gif"
    save_frames(path, make_frames())
    save_frames(mask, make_masks(2))
    for frames, count in (("all", 3), ("first", 1)):
        report = fill(tmp_path, path, mask, tmp_path / "b.gif", frames=frames)
        (reason,) = report.failed.values()
        assert f"it has 2 frames, for an image of {count}" in reason


def test_mpo_says_what_it_loses_and_keeps_all_where_asked(tmp_path):
    path, mask = tmp_path / "a.mpo", tmp_path / "mask.png"
    make_masks(1)[0].save(mask)
    frames = make_frames()[:2]
    frames[1].encoderinfo = {"quality": 60}
    save_frames(path, frames, quality=90)
    (tmp_path / "b.jpg").write_bytes(path.read_bytes())
    for name in ("a.mpo", "b.jpg"):
        out = tmp_path / "out" / name
        report = fill(tmp_path, tmp_path / name, mask, out)
        (note,) = report.notes.values()
        assert note == "Of its 2 images or frames, the first is kept."
        assert len(read_frames(out)[0]) == 1
        out.unlink()
        report = fill(tmp_path, tmp_path / name, mask, out, frames="all")
        assert report.notes == report.failed == {}
        with Image.open(tmp_path / name) as image, Image.open(out) as saved:
            assert saved.format == "MPO"
            for i in range(2):
                image.seek(i)
                saved.seek(i)
                assert saved.quantization == image.quantization


def test_gain_map_of_a_jpeg_is_said_to_be_lost(tmp_path):
    path, mask = tmp_path / "a.jpg", tmp_path / "mask.png"
    make_masks(1)[0].save(mask)
    xmp = b'<x hdrgm:Version="1.0"/>'
    save_frames(path, make_frames()[:2], format="MPO", xmp=xmp)
    report = fill(tmp_path, path, mask, tmp_path / "b.jpg")
    (note,) = report.notes.values()
    assert note.startswith("The images that are appended to it, such as a gain map")


def test_transparent_pixels_of_each_frame_are_filled(tmp_path):
    for name in ANIMATIONS:
        frames = make_frames(alpha=True)
        frames[1].putalpha(255)  # A frame without a hole.
        path, out = tmp_path / name, tmp_path / "out" / name
        options = {"disposal": 2} if name == "a.gif" else {}
        save_frames(path, frames, duration=50, **ANIMATIONS[name], **options)
        batch = InpaintBatch(
            path, None, out, alpha=True, files=FileOptions(frames="all")
        )
        batch.run(ConstantModel(), InpaintOptions())
        assert batch.report.failed == {}
        after, _ = read_frames(out)
        assert (after[..., 3] == 255).all()


def test_more_colors_than_a_gif_holds_go_to_another_format(tmp_path):
    path, mask = tmp_path / "a.webp", tmp_path / "mask.png"
    make_masks(1)[0].save(mask)
    frames = [Image.fromarray(PHOTO[i:][: SIZE[0], : SIZE[1]]) for i in (0, 9)]
    save_frames(path, frames, lossless=True)
    report = fill(tmp_path, path, mask, tmp_path / "b.gif", frames="all")
    (reason,) = report.failed.values()
    assert "256 colors" in reason
    report = fill(tmp_path, path, mask, tmp_path, frames="all", format="png")
    assert report.failed == {}
    hole = np.asarray(make_masks(1)[0]) > 0
    before, after = read_frames(path)[0], read_frames(tmp_path / "a.png")[0]
    np.testing.assert_array_equal(after[:, ~hole], before[:, ~hole])
