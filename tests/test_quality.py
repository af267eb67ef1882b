"""`benchmarks/quality.py`: methods compared on a folder of images."""

import csv
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import lpips, quality
from examples.demo_preset import evaluation
from keras_ctsdg.data import InpaintingDataset
from tests.test_docs import ROOT

pytestmark = pytest.mark.backend_independent

METRICS = ("psnr", "ssim")


@pytest.fixture
def photos(tmp_path):
    """A folder of two small images, and something that is none."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        small = Image.fromarray(rng.integers(0, 256, (9, 9, 3), "uint8"))
        small.resize((150, 140)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


def keep(image, hole):
    """A method that has seen the original."""
    return image


def blacken(image, hole):
    return np.where(hole[..., None], 0, image).astype("uint8")


class TestQuality:
    CONTESTANTS = {"first": blacken, "best": keep}

    @pytest.fixture
    def crops(self, photos):
        images = InpaintingDataset(photos, edges=None).images
        return evaluation.open_crops(images, each=2, image_size=128, seed=3)

    def test_tables(self, crops, tmp_path):
        scores = quality.compare(self.CONTESTANTS, crops, evaluation.METRICS)
        quality.write_tables(tmp_path, scores, crops)
        rows = list(csv.DictReader(open(tmp_path / "quality.csv")))
        assert len(rows) == 3 * 2 * len(METRICS)
        for row in rows:
            assert row["crops"] == "4"
            if row["method"] == "best":
                # 60 dB stands for no error at all.
                assert float(row["mean"]) == {"psnr": 60, "ssim": 1}[row["metric"]]
                assert row["better"] == "0.0"
            else:
                assert row["better"] == ""
        samples = list(csv.DictReader(open(tmp_path / "samples.csv")))
        assert len(samples) == 3 * 2 * 4
        values = [
            float(x["psnr"])
            for x in samples
            if (x["group"], x["method"]) == ("0_20", "first")
        ]
        assert float(rows[0]["mean"]) == pytest.approx(np.mean(values))
        assert float(rows[0]["median"]) == pytest.approx(np.median(values))
        assert {x["image"].rpartition("/")[2] for x in samples} == {"a.png", "b.jpg"}
        table = (tmp_path / "quality.md").read_text()
        assert "| best | 60.00 | 60.00 | 0% | 1.0000 | 1.0000 | 0% |" in table

    def test_less_is_better_for_lpips(self):
        groups = dict.fromkeys(evaluation.GROUPS, {"lpips": [0.1, 0.4]})
        others = dict.fromkeys(evaluation.GROUPS, {"lpips": [0.2, 0.3]})
        rows = evaluation.summarize({"first": groups, "other": others})
        assert [row["better"] for row in rows[:2]] == [None, 0.5]

    def test_sheet_shows_each_contestant(self, crops):
        scores = quality.compare(self.CONTESTANTS, crops, evaluation.METRICS)
        sheet = quality.draw_sheet(self.CONTESTANTS, scores, crops)
        # Masked, two contestants and target; three rows for each of three groups.
        assert sheet.width == 4 * (128 + 8) + 8
        assert sheet.height == 9 * (128 + 20 + 8) + 20
        pixels = np.asarray(sheet)
        _, first, best, target = (
            pixels[40:168, 8 + i * 136 : 136 + i * 136] for i in range(4)
        )
        assert np.array_equal(best, target)
        assert not np.array_equal(first, target)


@pytest.mark.slow
def test_command(photos, tmp_path):
    out = tmp_path / "out"
    command = [ROOT / "benchmarks" / "quality.py", photos, "--out", out]
    files = write_weights(tmp_path)
    done = subprocess.run(
        [sys.executable, *command, "--crops", "1", "--image-size", "128", "--lpips"]
        + files,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    methods = ["demo", *evaluation.classical_methods()]
    rows = list(csv.DictReader(open(out / "quality.csv")))
    assert list(dict.fromkeys(row["method"] for row in rows)) == methods
    assert {row["metric"] for row in rows} == {*METRICS, "lpips"}
    assert (out / "sheet.jpg").is_file()


# === LPIPS ===


def write_weights(folder):
    """Write random weights in the two files that LPIPS takes; return their paths."""
    torch.manual_seed(0)
    state, width = {}, 3
    widths = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    for number, filters in zip(lpips.CONVOLUTIONS, widths, strict=True):
        scale = (2 / (9 * width)) ** 0.5
        kernel = torch.randn(filters, width, 3, 3) * scale
        state[f"features.{number}.weight"] = kernel
        state[f"features.{number}.bias"] = torch.randn(filters) * 0.1
        width = filters
    channels = {
        f"lin{i}.model.1.weight": torch.rand(1, n, 1, 1)
        for i, n in enumerate((64, 128, 256, 512, 512))
    }
    paths = folder / "vgg16.pth", folder / "channels.pth"
    for path, content in zip(paths, (state, channels), strict=True):
        torch.save(content, path)
    return list(paths)


def literal_lpips(files, pair):
    """Compute LPIPS by PyTorch's functions, layer by layer, as its authors do."""
    state, channels = (torch.load(x, weights_only=True) for x in files)
    x = torch.from_numpy(np.stack(pair).transpose(0, 3, 1, 2)).float() * 2 - 1
    shift, scale = (torch.tensor(v)[:, None, None] for v in (lpips.SHIFT, lpips.SCALE))
    x, total = (x - shift) / scale, 0.0
    for number in range(31):
        if f"features.{number}.weight" in state:
            weight, bias = (state[f"features.{number}.{n}"] for n in ("weight", "bias"))
            x = torch.relu(torch.nn.functional.conv2d(x, weight, bias, padding=1))
        elif number in (4, 9, 16, 23, 30):
            index = (4, 9, 16, 23, 30).index(number)
            first, second = x / (x.norm(dim=1, keepdim=True) + 1e-10)
            weight = channels[f"lin{index}.model.1.weight"][0]
            total += float(((first - second) ** 2 * weight).sum(0).mean())
            x = torch.nn.functional.max_pool2d(x, 2)
    return total


class TestLPIPS:
    @pytest.fixture(scope="class")
    def files(self, tmp_path_factory):
        return write_weights(tmp_path_factory.mktemp("weights"))

    def test_is_that_of_its_authors(self, files):
        rng = np.random.default_rng(1)
        target = rng.random((2, 32, 32, 3), "float32")
        image = np.clip(target + rng.normal(0, 0.1, target.shape), 0, 1)
        image[1] = target[1]
        values = [float(x) for x in lpips.LPIPS(*files)(target, image)]
        assert values[0] == pytest.approx(
            literal_lpips(files, (target[0], image[0])), rel=1e-4
        )
        assert values[0] > 0.01
        assert values[1] == 0

    def test_other_files_are_refused(self, files):
        with pytest.raises(ValueError, match=r"must hold \['features\.0\.weight'"):
            lpips.LPIPS(files[1], files[0])
