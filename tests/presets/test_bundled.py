"""The preset `demo`, which is part of the package."""

import json

import numpy as np
import pytest
from PIL import Image

import keras_ctsdg
from keras_ctsdg.metrics import psnr
from keras_ctsdg.models import Generator
from keras_ctsdg.presets.files import BUNDLED
from tests.common import to_numpy

FOLDER = BUNDLED / "demo"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "presets"


def photo_and_mask():
    """Return a photograph that the preset was not trained on, and a hole of 17 %."""
    from skimage.data import coffee

    image = coffee()[60:316, 180:436]
    mask = np.zeros((256, 256), bool)
    mask[:, 30:250:55] = mask[:, 31:251:55] = True
    mask[40:250:60] = mask[41:251:60] = mask[42:252:60] = True
    mask[100:150, 100:150] = mask[180:230, 20:70] = True
    return image, mask


def test_fills_a_photograph(home):
    """It fills better than the mean color around the hole would."""
    image, mask = photo_and_mask()
    model = keras_ctsdg.from_preset("demo")
    filled = model.inpaint(image, mask)
    np.testing.assert_array_equal(filled[~mask], image[~mask])
    mean = np.where(mask[..., None], image[~mask].mean(0).astype("uint8"), image)
    scores = [
        float(to_numpy(psnr(*(x[None].astype("float32") / 255 for x in (image, y))))[0])
        for y in (filled, mean)
    ]
    assert scores[0] > scores[1] + 3


@pytest.mark.backend_independent
def test_is_listed_and_complete():
    entry = keras_ctsdg.list_presets()["demo"]
    assert entry["installed"]
    assert entry["path"] == str(FOLDER)
    assert entry["license"] == "cc-by-sa-4.0"
    assert entry["parameters"] > 3_000_000
    assert entry["size"] < 10e6
    assert next(iter(keras_ctsdg.list_presets())) == "demo"
    names = {path.name for path in FOLDER.iterdir()}
    assert {"README.md", "ATTRIBUTION.md", "scores.json"} <= names
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    # The wheel must stay under 30 MB.
    assert size < 20e6


@pytest.mark.backend_independent
def test_card_has_the_scores():
    """Its margins are those of the scores beside it."""
    scores = json.loads((FOLDER / "scores.json").read_text())
    card = (FOLDER / "README.md").read_text()
    assert "license: cc-by-sa-4.0" in card
    for group in ("0_20", "20_40", "40_60"):
        values = {
            metric: {name: np.mean(x[group][metric]) for name, x in scores.items()}
            for metric in ("psnr", "ssim")
        }
        margins = {
            metric: means.pop("demo") - max(means.values())
            for metric, means in values.items()
        }
        row = f"{margins['psnr']:+.2f} dB | {margins['ssim']:+.4f}"
        assert f"| {group.replace('_', ' to ')} % | {row} |" in card


@pytest.mark.backend_independent
def test_a_preset_of_the_same_name_takes_its_place(home):
    keras_ctsdg.CTSDG(Generator(filters=4)).save_to_preset(home / "demo")
    assert keras_ctsdg.from_preset("demo").generator.filters == 4
    assert keras_ctsdg.list_presets()["demo"]["path"] == str(home / "demo")


@pytest.mark.backend_independent
def test_is_the_default_of_the_command(command, tmp_path):
    image, mask = photo_and_mask()
    Image.fromarray(image).save(tmp_path / "photo.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    arguments = ("inpaint", tmp_path / "photo.png", "--mask", tmp_path / "mask.png")
    code, stdout, stderr = command(*arguments)
    assert code == 0, stderr
    assert f"Written to {tmp_path / 'photo_filled.png'}" in stdout
    filled = np.asarray(Image.open(tmp_path / "photo_filled.png"))
    expected = keras_ctsdg.from_preset("demo").inpaint(image, mask)
    np.testing.assert_array_equal(filled, expected)
