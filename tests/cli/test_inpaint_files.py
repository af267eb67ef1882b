"""The files that `keras-ctsdg inpaint` reads and writes."""

import importlib
import json

import numpy as np
import pytest
from PIL import Image

from tests.data.common import photo
from tests.inpainting.common import ConstantModel

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def inpaint(command, tmp_path, monkeypatch):
    """Run the command on an animation, with a stand-in for the network."""
    # The function of the same name hides the module as an attribute.
    module = importlib.import_module("keras_ctsdg.cli.inpaint")
    monkeypatch.setattr(module, "load_for_filling", lambda *_: ConstantModel())
    frames = [photo((50, 40), (30 * i, 0)) for i in range(2)]
    mask = np.zeros((40, 50), "uint8")
    mask[10:20, 10:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    path = tmp_path / "a.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    arguments = ("inpaint", "model", "--mask", tmp_path / "mask.png")
    return lambda *more, image=path: command(*arguments, "--image", image, *more)


def test_frames_are_refused_chosen_or_filled(inpaint, tmp_path):
    out = tmp_path / "b.webp"
    code, _, stderr = inpaint("--out", out)
    assert code == 1
    assert "it has 2 frames" in stderr
    code, stdout, stderr = inpaint("--out", out, "--frames", "first", "--json")
    assert code == 0, stderr
    (note,) = json.loads(stdout)["notes"].values()
    assert note == "Of its 2 images or frames, the first is kept."
    code, stdout, stderr = inpaint(
        *("--out", tmp_path / "out" / "c.png", "--frames", "first")
    )
    assert code == 0, stderr
    assert f"a.webp: {note}" in stdout
    code, _, stderr = inpaint("--out", out, "--frames", "all", "--overwrite")
    assert code == 0, stderr
    with Image.open(out) as filled:
        assert filled.n_frames == 2


def test_format_and_quality(inpaint, tmp_path):
    more = ("--out", tmp_path, "--frames", "all", "--format")
    code, _, stderr = inpaint(*more, "png", "--quality", 20)
    assert code == 1
    assert "`quality` must be `None`" in stderr
    sizes = []
    for quality in (20, 95):
        code, _, stderr = inpaint(*more, "avif", "--quality", quality, "--overwrite")
        assert code == 0, stderr
        sizes.append((tmp_path / "a.avif").stat().st_size)
    assert sizes[0] < sizes[1]


def test_nothing_is_said_to_be_written_where_nothing_was(inpaint, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "bad.png").write_text("not an image")
    code, stdout, _ = inpaint("--out", tmp_path / "out", image=tmp_path / "images")
    assert code == 1
    assert "Failed: 1." in stdout
    assert "Nothing was written." in stdout
    assert "Written to" not in stdout
