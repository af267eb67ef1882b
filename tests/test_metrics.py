import keras
import numpy as np
import pytest
from skimage import data

from keras_ctsdg import metrics
from keras_ctsdg.metrics import PSNR, SSIM, MeanAbsoluteError, SampleCount
from tests.common import reference_scores, to_numpy

KINDS = (PSNR, SSIM, MeanAbsoluteError, SampleCount)


@pytest.fixture(scope="module")
def pairs():
    """Photographs, what noise and holes make of them, and masks of five shares."""
    rng = np.random.default_rng(0)
    photo = data.astronaut() / 255.0
    truth = np.stack(
        [photo[i : i + 96, j : j + 128] for i in (0, 200) for j in (0, 90, 300)]
    )
    noise = (
        rng.normal(0, 0.05, truth.shape) * np.linspace(0.1, 3, 6)[:, None, None, None]
    )
    picture = np.clip(truth + noise, 0, 1)
    picture[2, 20:50, 20:50] = 0.5
    masks = np.zeros((6, 96, 128, 1))
    for mask, share in zip(masks, (0.1, 0.25, 0.3, 0.5, 0.8, 0.05), strict=True):
        mask.reshape(-1)[: round(share * mask.size)] = 1
    return [x.astype("float32") for x in (truth, picture, masks)]


@pytest.mark.parametrize("name", ["psnr", "ssim", "mae"])
def test_equals_scikit_image(pairs, name):
    truth, picture, _ = pairs
    function = {"mae": metrics.mean_absolute_error}.get(name) or getattr(metrics, name)
    values = to_numpy(function(truth, picture))
    expected = [
        reference_scores(x, y)[name] for x, y in zip(truth, picture, strict=True)
    ]
    np.testing.assert_allclose(values, expected, atol=1e-4)


def test_by_hand():
    truth, picture = np.zeros((1, 16, 16, 3)), np.full((1, 16, 16, 3), 0.1)
    assert to_numpy(metrics.psnr(truth, picture)) == pytest.approx(20, abs=1e-4)
    assert to_numpy(metrics.mean_absolute_error(truth, picture)) == pytest.approx(0.1)
    # Flat pictures differ in luminance alone: 0.0001 / (0.01 + 0.0001).
    assert to_numpy(metrics.ssim(truth, picture)) == pytest.approx(1 / 101, abs=1e-5)
    assert to_numpy(metrics.ssim(picture, picture)) == pytest.approx(1)
    assert np.isinf(to_numpy(metrics.psnr(picture, picture)))


def results(pairs, size):
    found = {}
    for kind in KINDS:
        metric = kind()
        for i in range(0, len(pairs[0]), size):
            metric.update_state(*(x[i : i + size] for x in pairs))
        found |= {name: float(to_numpy(x)) for name, x in metric.result().items()}
    return found


def test_groups_do_not_depend_on_the_batch(pairs):
    found = results(pairs, 6)
    for size in (1, 4):
        assert results(pairs, size) == pytest.approx(found, rel=1e-5)
    groups = {"": range(6), "_0_20": (0, 5), "_20_40": (1, 2), "_40_60": (3,)}
    for suffix, members in groups.items():
        assert found[f"pairs{suffix}"] == len(members)
        for name in ("psnr", "ssim", "mae"):
            expected = [
                reference_scores(pairs[0][i], pairs[1][i])[name] for i in members
            ]
            assert found[name + suffix] == pytest.approx(np.mean(expected), abs=1e-4)
    assert found["pairs_beyond_60"] == 1


@pytest.mark.parametrize(
    ("pixels", "group"),
    [
        (16384, "0_20"),
        (16385, "20_40"),
        (32768, "20_40"),
        (49152, "40_60"),
        (49153, "beyond_60"),
    ],
)
def test_limits_belong_to_the_lower_group(pixels, group):
    mask = np.zeros((1, 128 * 640, 1, 1), "float32")
    mask[0, :pixels] = 1
    mask = mask.reshape(1, 128, 640, 1)
    metric = SampleCount()
    metric.update_state(np.zeros((1, 128, 640, 3)), np.zeros((1, 128, 640, 3)), mask)
    found = {name: float(to_numpy(x)) for name, x in metric.result().items()}
    assert found.pop("pairs") == 1
    assert [name for name, count in found.items() if count] == [f"pairs_{group}"]


def test_no_pair_is_not_zero(pairs):
    truth, picture, masks = (x[:1] for x in pairs)
    metric = PSNR()
    metric.update_state(truth, picture, masks)
    found = to_numpy(metric.result())
    assert np.isfinite(found["psnr_0_20"])
    assert np.isnan(found["psnr_20_40"])
    metric.reset_state()
    assert np.isnan(to_numpy(metric.result())["psnr"])


def test_without_masks_and_with_weights(pairs):
    truth, picture, _ = pairs
    metric = MeanAbsoluteError()
    metric.update_state(truth[:2], picture[:2], sample_weight=[1, 3])
    found = to_numpy(metric.result())
    expected = np.abs(truth - picture).mean(axis=(1, 2, 3))[:2]
    assert found["mae"] == pytest.approx(np.average(expected, weights=[1, 3]), rel=1e-5)
    assert np.isnan(found["mae_0_20"])


def test_an_equal_pair_makes_the_mean_infinite(pairs):
    truth, picture, masks = pairs
    metric = PSNR()
    metric.update_state(truth[:2], np.stack([truth[0], picture[1]]), masks[:2])
    metric.update_state(truth[2:], picture[2:], masks[2:])
    found = to_numpy(metric.result())
    assert np.isposinf(found["psnr"])
    assert np.isposinf(found["psnr_0_20"])
    assert np.isfinite(found["psnr_20_40"])


def test_long_sums_lose_nothing():
    metric = MeanAbsoluteError()
    values = np.random.default_rng(0).uniform(0, 1, 3000).astype("float32")
    for some in values.reshape(300, 10, 1, 1, 1):
        metric.update_state(some, np.zeros_like(some))
    assert to_numpy(metric.result())["mae"] == pytest.approx(values.mean(), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_serialization(kind):
    metric = kind(name="other")
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert type(again) is kind
    assert again.get_config() == metric.get_config()
    assert next(iter(again.result())) == "other"
