import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image

import keras_ctsdg
from keras_ctsdg.data import InpaintingDataset, OnError, Split
from keras_ctsdg.evaluation import (
    PUBLISHED,
    batch_starts,
    evaluate_batches,
    mask_ratio_group,
    summarize,
)
from keras_ctsdg.models import Discriminator, Generator
from tests.common import EAGER_ON_TENSORFLOW, reference_scores
from tests.data.common import hole_mask, photo

MASK_RATIOS = (0.1, 0.3, 0.5, 0.7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of five images, four masks and a model."""
    folder = tmp_path_factory.mktemp("evaluation")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for i in range(5):
        image = photo((150, 140), (60 * i, 40 * i))
        image.save(folder / "images" / f"{i}.jpg", quality=95)
    for i, mask_ratio in enumerate(MASK_RATIOS):
        hole_mask(128, mask_ratio).save(folder / "masks" / f"{i}.png")
    keras.utils.set_random_seed(1)
    model = keras_ctsdg.CTSDG(Generator(filters=4), Discriminator(filters=4))
    with pytest.warns(UserWarning, match="without the perceptual"):
        model.compile(run_eagerly=EAGER_ON_TENSORFLOW)
    model.save(folder / "model.keras")
    return folder


@pytest.fixture(scope="module")
def model(folder):
    model = keras.saving.load_model(folder / "model.keras")
    model.run_eagerly = EAGER_ON_TENSORFLOW
    return model


def dataset(folder, **kwargs):
    kwargs = {"image_size": 128, "batch_size": 2, "shuffle": False, **kwargs}
    return InpaintingDataset(folder / "images", folder / "masks", **kwargs)


def evaluate(model, data, limit=None):
    """Return the scores of all samples."""
    batches = evaluate_batches(model, data, batch_starts(data, limit), limit)
    return [sample for scores in batches for sample in scores.samples]


@pytest.fixture(scope="module")
def by_hand(folder, model):
    """The protocol in NumPy and scikit-image, one sample at a time."""
    rows = []
    for i in range(5):
        sample = dataset(folder).sample(i)
        filled = model.predict_on_batch({k: v[None] for k, v in sample.items()})[0]
        images = ((x.astype("float64") + 1) / 2 for x in (sample["image"], filled))
        rows.append({"mask_ratio": sample["mask"].mean(), **reference_scores(*images)})
    return rows


# The samples of each group; image i has mask i modulo 4.
GROUP_MEMBERS = {"0_20": (0, 4), "20_40": (1,), "40_60": (2,)}


@pytest.mark.parametrize(
    "batch_size", [2, pytest.param(5, marks=pytest.mark.backend_independent)]
)
def test_model_evaluate_reports_the_protocol(folder, model, by_hand, batch_size):
    found = model.evaluate(
        dataset(folder, batch_size=batch_size), return_dict=True, verbose=0
    )
    for metric in ("psnr", "ssim", "mae"):
        expected = np.mean([row[metric] for row in by_hand])
        assert found[metric] == pytest.approx(expected, abs=1e-4)
        for group, members in GROUP_MEMBERS.items():
            expected = np.mean([by_hand[i][metric] for i in members])
            assert found[f"{metric}_{group}"] == pytest.approx(expected, abs=1e-4)
    assert found["samples"] == 5
    assert found["samples_beyond_60"] == 1


def test_fit_and_validate_from_files(folder, small_model):
    # Batches of a size for which other tests have compiled the steps.
    training = InpaintingDataset(folder / "images", image_size=128, batch_size=2)
    history = small_model.fit(
        training,
        epochs=2,
        steps_per_epoch=1,
        validation_data=dataset(folder),
        validation_steps=1,
        verbose=0,
    ).history
    assert training.epoch == 2
    scores = {name for name in history if name.startswith("val_")}
    losses = {f"val_{name}" for name in history if f"val_{name}" in history}
    assert scores - losses == {"val_psnr", "val_ssim", "val_mae"}
    for name in ("hole", "val_psnr"):
        assert np.isfinite(history[name]).all()
        assert history[name][0] != history[name][1]


def test_samples(folder, model, by_hand):
    samples = evaluate(model, dataset(folder))
    assert len(samples) == 5
    for i, (sample, row) in enumerate(zip(samples, by_hand, strict=True)):
        assert sample["index"] == i
        assert sample["image"] == str(folder / "images" / f"{i}.jpg")
        assert sample["mask"] == str(folder / "masks" / f"{i % 4}.png")
        assert sample["mask_ratio"] == pytest.approx(row["mask_ratio"])
        for metric in ("psnr", "ssim", "mae"):
            assert sample[metric] == pytest.approx(row[metric], abs=1e-4)
    assert len(evaluate(model, dataset(folder), limit=3)) == 3


def test_samples_whose_edges_the_model_computes(folder, model, by_hand):
    samples = evaluate(model, dataset(folder, edges=None))
    for sample, row in zip(samples, by_hand, strict=True):
        for metric in ("psnr", "ssim", "mae"):
            assert sample[metric] == pytest.approx(row[metric], abs=1e-4)


@pytest.mark.backend_independent
def test_shards_are_whole_batches(folder):
    data = dataset(folder)
    assert list(batch_starts(data)) == [0, 2, 4]
    assert list(batch_starts(data, limit=4)) == [0, 2]
    parts = [list(batch_starts(data, shard=(rank, 4))) for rank in range(4)]
    assert parts == [[0], [2], [4], []]


@pytest.mark.backend_independent
def test_command_measures_shards_and_joins_them(command, folder, tmp_path):
    def run(out, *more):
        code, stdout, stderr = command(
            *("evaluate", folder / "model.keras", "--out", tmp_path / out),
            *("--images", folder / "images", "--masks", folder / "masks"),
            *("--image-size", 128, "--batch-size", 2, "--limit", 3),
            *more,
        )
        assert code == 0, stderr
        return stdout

    def results(out):
        files = (tmp_path / out).iterdir()
        return {x.name: x.read_bytes() for x in files if "shard" not in x.name}

    run("whole")
    for k in (2, 1):
        assert f"shard_{k}_of_2.json" in run("parts", "--shard", f"{k}/2")
    assert results("parts") == {}
    run("parts", "--join")
    assert results("parts") == results("whole")
    assert len(results("parts")) == 5


@pytest.mark.backend_independent
def test_groups():
    ratios = (0.0, 0.2, 0.21, 0.4, 0.6, 0.61)
    groups = [mask_ratio_group(np.float32(ratio)) for ratio in ratios]
    assert groups == ["0_20", "0_20", "20_40", "20_40", "40_60", "beyond_60"]


@pytest.mark.backend_independent
def test_summary_of_an_empty_group():
    scores = {"mask_ratio": 0.1, "psnr": 30.0, "ssim": 0.9, "mae": 0.01}
    summary = summarize([{"image": "i", "mask": "m", **scores}])
    assert summary["samples"] == {"0_20": 1, "20_40": 0, "40_60": 0, "overall": 1}
    assert summary["psnr"]["40_60"] is None
    assert summary["beyond_60"] == []


@pytest.mark.backend_independent
def test_command(command, folder, by_hand, tmp_path):
    """The table equals one computed by hand, without a damaged image."""
    (folder / "images" / "5.jpg").write_text("not an image")
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
        for group, members in {**GROUP_MEMBERS, "overall": range(5)}.items():
            expected = np.mean([by_hand[i][metric] for i in members])
            assert report[metric][group] == pytest.approx(expected, abs=1e-4)
    assert report["samples"] == {"0_20": 2, "20_40": 1, "40_60": 1, "overall": 5}
    assert len(report["beyond_60"]) == 1
    assert list(report["skipped"]) == [str(folder / "images" / "5.jpg")]
    text = (tmp_path / "out" / "evaluation.txt").read_text()
    for part in (
        f"{report['psnr']['overall']:.2f}",
        f"{report['ssim']['20_40']:.4f}",
        "31.47",
        "0.830",
        "Beyond 60 %, only in overall: 1: ",
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
    with open(tmp_path / "out" / "samples.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["index"] for row in rows] == list("01234")
    with Image.open(tmp_path / "out" / "best_median_worst.png") as grid:
        assert grid.width == 3 * 136 + 8
        assert grid.height == 20 + 6 * (128 + 8 + 20)


@pytest.mark.backend_independent
def test_command_reports_errors_in_a_line(command, folder, tmp_path):
    arguments = ["evaluate", folder / "model.keras", "--out", tmp_path / "out"]
    for more, message in (
        ([], "Pass --images or --celeba."),
        (["--images", tmp_path / "none"], "that exists. Received: images="),
        (["--celeba", tmp_path, "--images", tmp_path], "its own images and masks"),
    ):
        code, _, stderr = command(*arguments, *more)
        assert code == 1
        assert message in stderr
        assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--split", "--on-error"])
@pytest.mark.backend_independent
def test_command_lists_the_choices_of_an_option(command, folder, tmp_path, option):
    arguments = ["evaluate", folder / "model.keras", "--out", tmp_path / "out"]
    code, _, stderr = command(*arguments, "--images", folder, option, "none")
    assert code == 2
    for choice in {"--split": Split, "--on-error": OnError}[option]:
        assert f"'{choice}'" in stderr
