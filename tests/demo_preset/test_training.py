"""The training and the scores of `examples/train_demo_preset.py`."""

from pathlib import Path

import keras
import numpy as np
import pytest
from skimage import data as skimage_data

import keras_ctsdg
from examples.demo_preset import card, evaluation, network, training
from examples.demo_preset.data import CUT_RATIO, CutMasks, vary
from tests.common import EAGER_ON_TENSORFLOW, random_batch, to_numpy


@pytest.mark.backend_independent
class TestData:
    def test_masks_are_parts_of_larger_ones(self):
        masks = CutMasks(seed=3)
        first = [masks((0, i), (128, 128)) for i in range(12)]
        assert np.array_equal(masks((0, 5), (128, 128)), first[5])
        assert not np.array_equal(first[4], first[5])
        ratios = [mask.mean() for mask in first]
        assert min(ratios) >= CUT_RATIO[0]
        assert max(ratios) <= CUT_RATIO[1]
        assert np.ptp(ratios) > 0.2
        assert {mask.shape for mask in first} == {(128, 128, 1)}

    def test_variations(self):
        image = np.random.default_rng(0).uniform(0, 255, (8, 8, 3)).astype("float32")
        varied = [vary(image, np.random.default_rng(i)) for i in range(40)]
        assert {x.shape for x in varied} == {(8, 8, 3)}
        assert all(0 <= x.min() and x.max() <= 255.01 for x in varied)
        grays = [x for x in varied if np.ptp(x, axis=-1).max() == 0]
        assert 0 < len(grays) < 12


# JAX compiles half a minute of single operations for it, all of them `keras.ops`.
@pytest.mark.backend_independent
class TestNetwork:
    def test_learning_rates(self):
        schedule = network.learning_rate(2e-3, 2e-4, steps=1000, warmup=300)
        rates = [float(schedule(step)) for step in (0, 300, 650, 1000)]
        np.testing.assert_allclose(rates, [1e-4, 2e-3, 1.1e-3, 2e-4], rtol=1e-4)

    def test_error_is_psnr(self, small_model):
        model = network.Restoration(small_model.generator, small_model.discriminator)
        batch = random_batch()
        values, _ = model.generator_losses(model.prepare_batch(batch), training=False)
        filled = model.predict_on_batch(batch)
        pair = [(x + 1) / 2 for x in (batch["image"], to_numpy(filled))]
        psnr = float(keras_ctsdg.metrics.psnr(*pair)[0])
        log_error = float(values["log_error"])
        assert psnr == pytest.approx(-10 / np.log(10) * log_error, abs=1e-3)
        total = sum(w * float(values[name]) for name, w in network.WEIGHTS.items())
        assert float(values["generator_loss"]) == pytest.approx(total, rel=1e-5)

    def test_statistics_are_means_over_batches(self, small_model):
        batches = [
            small_model.prepare_batch(random_batch(seed=seed)) for seed in (0, 1)
        ]
        generator = small_model.generator

        def statistics(batches):
            network.average_statistics(generator, batches)
            (layer, *_) = network.batch_norms(generator)
            return to_numpy([layer.moving_mean.value, layer.moving_variance.value])

        apart = [statistics([batch]) for batch in batches]
        together = statistics(batches)
        np.testing.assert_allclose(together, np.mean(apart, axis=0), rtol=1e-4)
        assert network.batch_norms(generator)[0].momentum == 0.9


@pytest.mark.backend_independent
class TestScores:
    SCORES = {
        name: {
            group: {"psnr": [30.0 + better, 20.0], "ssim": [0.9, 0.8 + better / 100]}
            for group in evaluation.GROUPS
        }
        for name, better in (("demo", 1.0), ("a", 0.0), ("b", 0.5))
    }

    def test_margins(self):
        margin = evaluation.margins(self.SCORES)["40_60"]
        assert margin["psnr"] == pytest.approx(0.25)
        assert margin["ssim"] == pytest.approx(0.0025)

    def test_table(self):
        table = evaluation.build_table(self.SCORES)
        assert "Mask ratio 0 to 20 %, 2 crops:" in table
        assert "| demo | 25.50 | 25.50 |  | 0.8550 | 0.8550 |  |" in table
        assert "| a | 25.00 | 25.00 | 50% | 0.8500 | 0.8500 | 50% |" in table

    def test_attribution(self, tmp_path):
        photo = {
            "package": "game",
            "path": "images/cat.jpg",
            "license": "CC-BY-4.0",
            "copyright": "2021 A Photographer",
            "comment": "https://example.org/cat",
        }
        card.write_attribution(tmp_path / "a.md", {"training": [photo], "test": []})
        assert "## Training, 1 in all" in (text := (tmp_path / "a.md").read_text())
        assert (
            "- cat.jpg (game), 2021 A Photographer: CC-BY-4.0. <https://example.org/cat>"
        ) in text


@pytest.mark.slow
@pytest.mark.skipif(not EAGER_ON_TENSORFLOW, reason="only on the default backend")
def test_phases_resume(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "EPOCH", 2)
    monkeypatch.setattr(training, "VALIDATION_CROPS", 4)
    monkeypatch.setattr(training, "STATISTICS_BATCHES", 1)
    monkeypatch.setattr(training, "STATISTICS_BATCH_SIZE", 2)
    paths = []
    for name in ("coffee", "chelsea"):
        paths.append(tmp_path / f"{name}.png")
        keras.utils.save_img(paths[-1], getattr(skimage_data, name)(), scale=False)
    phases = [
        training.Phase("a", 128, 2, 4, 1e-3, 1e-4),
        training.Phase("b", 256, 1, 2, 1e-4, 1e-5),
    ]
    history = tmp_path / "phases/a.training/history.csv"
    save, epochs = keras.callbacks.BackupAndRestore.on_epoch_end, []

    def stop_after_first(self, epoch, logs=None):
        save(self, epoch, logs)
        epochs.append(epoch)
        if len(epochs) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(
        keras.callbacks.BackupAndRestore, "on_epoch_end", stop_after_first
    )
    run = (phases, (paths[:1], paths[1:]), tmp_path, 4, "float32")
    with pytest.raises(KeyboardInterrupt):
        list(training.run_phases(*run))
    assert not training.find_presets(phases, tmp_path)
    presets = list(training.run_phases(*run))
    assert epochs == [0, 1, 0]
    assert presets == training.find_presets(phases, tmp_path)
    assert [row.split(",")[0] for row in history.read_text().split()] == [
        "epoch",
        "0",
        "1",
    ]
    first, second = (keras_ctsdg.from_preset(x).generator.weights for x in presets)
    assert any(
        np.abs(to_numpy(x.value) - to_numpy(y.value)).max() > 0
        for x, y in zip(first, second, strict=True)
    )
    # A phase that is complete is not run again.
    assert list(training.run_phases(*run)) == []
    assert not Path(tmp_path, "phases/a.training/backup").exists()
