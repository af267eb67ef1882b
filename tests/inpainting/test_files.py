from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.inpainting.files import copy_image, save_image
from tests.data.common import photo

pytestmark = pytest.mark.backend_independent


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


def test_save_image_keeps_metadata_and_makes_folders(tmp_path):
    image = photo((40, 30))
    exif = image.getexif()
    exif[0x010E] = "a photo"
    image.info = {"exif": exif.tobytes(), "icc_profile": b"profile", "dpi": (72, 72)}
    for ending in ("jpg", "png", "webp"):
        path = tmp_path / "sub" / f"a.{ending}"
        save_image(image, path)
        with Image.open(path) as saved:
            assert saved.getexif()[0x010E] == "a photo"
            assert saved.info["icc_profile"] == b"profile"


def test_webp_keeps_colors_under_transparent_pixels(tmp_path):
    image = photo((40, 30)).convert("RGBA")
    image.putalpha(0)
    save_image(image, tmp_path / "a.webp")
    flat = Image.new("RGBA", (40, 30))
    with Image.open(tmp_path / "a.webp") as saved:
        assert (np.asarray(saved) != np.asarray(flat)).any()


def test_unknown_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must end .*Received: path=.*a.text"):
        save_image(photo(), tmp_path / "a.text")
