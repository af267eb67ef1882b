from pathlib import Path

import pytest

from keras_ctsdg.cli._inpaint_arguments import default_out, split_arguments

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(
    ("words", "images", "expected"),
    [
        (["a.jpg"], None, ("demo", Path("a.jpg"))),
        (["faces", "a.jpg"], None, ("faces", Path("a.jpg"))),
        (["m.keras", "photos"], None, ("m.keras", Path("photos"))),
        (["faces"], Path("a.jpg"), ("faces", Path("a.jpg"))),
        (None, Path("photos"), ("demo", Path("photos"))),
    ],
)
def test_words_are_preset_and_images(words, images, expected):
    assert split_arguments(words, images) == expected


@pytest.mark.parametrize(
    ("words", "images", "message"),
    [
        ([], None, "IMAGES must be .* Received: nothing"),
        (["m.keras"], None, "IMAGES must be .* Received: m.keras"),
        (["a.jpg", "b.jpg", "c.jpg"], None, "quotes. Received: a.jpg b.jpg c.jpg"),
        (["demo", "a.jpg"], Path("b.jpg"), "Received: demo a.jpg b.jpg"),
    ],
)
def test_other_words_are_refused(words, images, message):
    with pytest.raises(ValueError, match=message):
        split_arguments(words, images)


def test_results_lie_beside_the_images(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").touch()
    assert default_out(tmp_path / "a.jpg", None) == tmp_path / "a_filled.jpg"
    assert default_out(tmp_path / "a.jpg", ".png") == tmp_path / "a_filled.png"
    assert default_out(tmp_path, ".png").name == f"{tmp_path.name}_filled"
    monkeypatch.chdir(tmp_path)
    assert default_out(Path("."), None) == tmp_path.with_name(f"{tmp_path.name}_filled")
    with pytest.raises(ValueError, match=r"unless with --out. Received: \*.jpg"):
        default_out(Path("*.jpg"), None)
