import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image

import keras_ctsdg
from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.evaluation import PUBLISHED, evaluate_pairs, group_of, summarize
from keras_ctsdg.models import Discriminator, Generator
from tests.common import TRACES, reference_scores
from tests.data.common import hole, photo

SHARES = (0.1, 0.3, 0.5, 0.7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five pictures, four masks and a model, as files."""
    folder = tmp_path_factory.mktemp("evaluation")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for i in range(5):
        picture = photo((150, 140), (60 * i, 40 * i))
        picture.save(folder / "images" / f"{i}.jpg", quality=95)
    for i, share in enumerate(SHARES):
        hole(128, share).save(folder / "masks" / f"{i}.png")
    keras.utils.set_random_seed(1)
    model = keras_ctsdg.CTSDG(Generator(filters=8), Discriminator(filters=8))
    with pytest.warns(UserWarning, match="without the perceptual"):
        model.compile(run_eagerly=TRACES)
    model.save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return keras.saving.load_model(folder / "model.keras")


def dataset(folder, **kwargs):
    kwargs = {"image_size": 128, "batch_size": 2, "shuffle": False, **kwargs}
    return InpaintingDataset(folder / "images", folder / "masks", **kwargs)


@pytest.fixture(scope="module")
def by_hand(folder, model):
    """The protocol in NumPy and scikit-image, a pair at a time."""
    rows = []
    for i in range(5):
        item = dataset(folder).item(i)
        filled = model.predict_on_batch({k: v[None] for k, v in item.items()})[0]
        pair = ((x.astype("float64") + 1) / 2 for x in (item["image"], filled))
        rows.append({"share": item["mask"].mean(), **reference_scores(*pair)})
    return rows


# Which pairs are in which group: masks come by turns.
MEMBERS = {"0_20": (0, 4), "20_40": (1,), "40_60": (2,)}


@pytest.mark.parametrize("batch_size", [2, 5])
def test_model_evaluate_reports_the_protocol(folder, model, by_hand, batch_size):
    found = model.evaluate(
        dataset(folder, batch_size=batch_size), return_dict=True, verbose=0
    )
    for metric in ("psnr", "ssim", "mae"):
        expected = np.mean([row[metric] for row in by_hand])
        assert found[metric] == pytest.approx(expected, abs=1e-4)
        for group, members in MEMBERS.items():
            expected = np.mean([by_hand[i][metric] for i in members])
            assert found[f"{metric}_{group}"] == pytest.approx(expected, abs=1e-4)
    assert found["pairs"] == 5
    assert found["pairs_beyond_60"] == 1


def test_fit_and_validate_from_files(folder, model):
    again = keras.saving.load_model(folder / "model.keras")
    training = InpaintingDataset(folder / "images", image_size=128, batch_size=2)
    history = again.fit(
        training, epochs=2, validation_data=dataset(folder), verbose=0
    ).history
    assert training.epoch == 2
    scores = {name for name in history if name.startswith("val_")}
    losses = {f"val_{name}" for name in history if f"val_{name}" in history}
    assert scores - losses == {"val_psnr", "val_ssim", "val_mae"}
    for name in ("hole", "val_psnr"):
        assert np.isfinite(history[name]).all()
        assert history[name][0] != history[name][1]


def test_pairs(folder, model, by_hand):
    pairs = list(evaluate_pairs(model, dataset(folder)))
    assert len(pairs) == 5
    for i, (pair, row) in enumerate(zip(pairs, by_hand, strict=True)):
        assert pair["place"] == i
        assert pair["image"] == str(folder / "images" / f"{i}.jpg")
        assert pair["mask"] == str(folder / "masks" / f"{i % 4}.png")
        assert pair["mask_ratio"] == pytest.approx(row["share"])
        for metric in ("psnr", "ssim", "mae"):
            assert pair[metric] == pytest.approx(row[metric], abs=1e-4)
    assert len(list(evaluate_pairs(model, dataset(folder), limit=3))) == 3


def test_pairs_whose_edges_the_model_draws(folder, model, by_hand):
    pairs = list(evaluate_pairs(model, dataset(folder, edges=None)))
    for pair, row in zip(pairs, by_hand, strict=True):
        for metric in ("psnr", "ssim", "mae"):
            assert pair[metric] == pytest.approx(row[metric], abs=1e-4)


def test_groups():
    shares = (0.0, 0.2, 0.21, 0.4, 0.6, 0.61)
    groups = [group_of(np.float32(share)) for share in shares]
    assert groups == ["0_20", "0_20", "20_40", "20_40", "40_60", "beyond_60"]


def test_summary_of_an_empty_group():
    pair = {"mask_ratio": 0.1, "psnr": 30.0, "ssim": 0.9, "mae": 0.01}
    summary = summarize([{"image": "i", "mask": "m", **pair}])
    assert summary["pairs"] == {"0_20": 1, "20_40": 0, "40_60": 0, "overall": 1}
    assert summary["psnr"]["40_60"] is None
    assert summary["beyond_60"] == []


def test_command(command, folder, by_hand, tmp_path):
    """The table against one computed by hand, a damaged picture left out."""
    (folder / "images" / "5.jpg").write_text("no picture")
    try:
        code, stdout, stderr = command(
            *("evaluate", folder / "model.keras", "--out", tmp_path / "out"),
            *("--images", folder / "images", "--masks", folder / "masks"),
            *("--image-size", 128, "--batch-size", 4, "--on-error", "skip"),
        )
    finally:
        (folder / "images" / "5.jpg").unlink()
    assert code == 0, stderr
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    for metric in ("psnr", "ssim", "mae"):
        for group, members in {**MEMBERS, "overall": range(5)}.items():
            expected = np.mean([by_hand[i][metric] for i in members])
            assert report[metric][group] == pytest.approx(expected, abs=1e-4)
    assert report["pairs"] == {"0_20": 2, "20_40": 1, "40_60": 1, "overall": 5}
    assert len(report["beyond_60"]) == 1
    assert list(report["skipped"]) == [str(folder / "images" / "5.jpg")]
    text = (tmp_path / "out" / "evaluation.txt").read_text()
    for part in (
        f"{report['psnr']['overall']:.2f}",
        f"{report['ssim']['20_40']:.4f}",
        "31.47",
        "0.830",
        "Beyond 60 %, overall only: 1: ",
        "Skipped: 1: ",
    ):
        assert part in text
        assert part in stdout
    with open(tmp_path / "out" / "evaluation.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["metric", "source", "0_20", "20_40", "40_60", "overall"]
    assert [row[:2] for row in rows if row[0] == "psnr"] == [
        ["psnr", name] for name in ("this model", *PUBLISHED)
    ]
    with open(tmp_path / "out" / "pairs.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 5
    with Image.open(tmp_path / "out" / "best_median_worst.png") as sheet:
        assert sheet.width == 3 * 136 + 8
        assert sheet.height == 20 + 6 * (128 + 8 + 20)


def test_command_tells_errors_in_a_line(command, folder, tmp_path):
    arguments = ["evaluate", folder / "model.keras", "--out", tmp_path / "out"]
    for more, message in (
        ([], "Pass --images, or --celeba."),
        (["--images", tmp_path / "none"], "that exists. Received: images="),
        (["--celeba", tmp_path, "--images", tmp_path], "brings its own pictures"),
    ):
        code, _, stderr = command(*arguments, *more)
        assert code == 1
        assert message in stderr
        assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()
