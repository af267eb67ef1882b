import keras
import numpy as np
import pytest
from skimage import data

from keras_ctsdg import metrics
from keras_ctsdg.metrics import PSNR, SSIM, MeanAbsoluteError, SampleCount
from tests.common import reference_scores, to_numpy

CLASSES = (PSNR, SSIM, MeanAbsoluteError, SampleCount)


@pytest.fixture(scope="module")
def samples():
    """Targets, images with noise and a gray square, and masks of several ratios."""
    rng = np.random.default_rng(0)
    photo = data.astronaut() / 255.0
    targets = np.stack(
        [photo[i : i + 96, j : j + 128] for i in (0, 200) for j in (0, 90, 300)]
    )
    levels = np.linspace(0.1, 3, 6)[:, None, None, None]
    images = np.clip(targets + rng.normal(0, 0.05, targets.shape) * levels, 0, 1)
    images[2, 20:50, 20:50] = 0.5
    masks = np.zeros((6, 96, 128, 1))
    for mask, ratio in zip(masks, (0.1, 0.25, 0.3, 0.5, 0.8, 0.05), strict=True):
        mask.reshape(-1)[: round(ratio * mask.size)] = 1
    return [x.astype("float32") for x in (targets, images, masks)]


@pytest.mark.parametrize("name", ["psnr", "ssim", "mae"])
def test_equals_scikit_image(samples, name):
    targets, images, _ = samples
    function = {"mae": metrics.mean_absolute_error}.get(name) or getattr(metrics, name)
    values = to_numpy(function(targets, images))
    expected = [
        reference_scores(x, y)[name] for x, y in zip(targets, images, strict=True)
    ]
    np.testing.assert_allclose(values, expected, atol=1e-4)


def test_by_hand():
    target, image = np.zeros((1, 16, 16, 3)), np.full((1, 16, 16, 3), 0.1)
    assert to_numpy(metrics.psnr(target, image)) == pytest.approx(20, abs=1e-4)
    assert to_numpy(metrics.mean_absolute_error(target, image)) == pytest.approx(0.1)
    # Constant images differ in luminance only: 0.0001 / (0.01 + 0.0001).
    assert to_numpy(metrics.ssim(target, image)) == pytest.approx(1 / 101, abs=1e-5)
    assert to_numpy(metrics.ssim(image, image)) == pytest.approx(1)
    assert np.isinf(to_numpy(metrics.psnr(image, image)))


def test_mask_ratio_by_hand():
    masks = np.zeros((2, 4, 4, 1))
    masks[0, 0], masks[1] = 1, 0.5
    np.testing.assert_allclose(to_numpy(metrics.mask_ratio(masks)), [0.25, 0.5])


def test_is_bin_or_count():
    names = ("psnr", "psnr_20_40", "samples", "samples_beyond_60", "hole")
    assert [metrics.is_bin_or_count(x) for x in names] == [0, 1, 1, 1, 0]


def compute_results(samples, batch_size):
    results = {}
    for cls in CLASSES:
        metric = cls()
        for i in range(0, len(samples[0]), batch_size):
            targets, images, masks = (x[i : i + batch_size] for x in samples)
            metric.update_state(targets, images, mask=masks)
        results |= {name: float(to_numpy(x)) for name, x in metric.result().items()}
    return results


def test_bins_do_not_depend_on_the_batch_size(samples):
    results = compute_results(samples, 6)
    # A batch of four and a partial one of two.
    assert compute_results(samples, 4) == pytest.approx(results, rel=1e-5)
    bins = {"": range(6), "_0_20": (0, 5), "_20_40": (1, 2), "_40_60": (3,)}
    for suffix, members in bins.items():
        assert results[f"samples{suffix}"] == len(members)
        for name in ("psnr", "ssim", "mae"):
            expected = [
                reference_scores(samples[0][i], samples[1][i])[name] for i in members
            ]
            assert results[name + suffix] == pytest.approx(np.mean(expected), abs=1e-4)
    assert results["samples_beyond_60"] == 1


@pytest.mark.parametrize(
    ("pixels", "bin_name"),
    [
        (16384, "0_20"),
        (16385, "20_40"),
        (32768, "20_40"),
        (49152, "40_60"),
        (49153, "beyond_60"),
    ],
)
def test_limits_belong_to_the_lower_bin(pixels, bin_name):
    mask = np.zeros((1, 128 * 640, 1, 1), "float32")
    mask[0, :pixels] = 1
    mask = mask.reshape(1, 128, 640, 1)
    images = np.zeros((1, 128, 640, 3))
    metric = SampleCount()
    metric.update_state(images, images, mask=mask)
    counts = {name: float(to_numpy(x)) for name, x in metric.result().items()}
    assert counts.pop("samples") == 1
    assert [name for name, x in counts.items() if x] == [f"samples_{bin_name}"]


def test_mean_of_no_samples_is_nan(samples):
    targets, images, masks = (x[:1] for x in samples)
    metric = PSNR()
    metric.update_state(targets, images, mask=masks)
    results = to_numpy(metric.result())
    assert np.isfinite(results["psnr_0_20"])
    assert np.isnan(results["psnr_20_40"])
    metric.reset_state()
    assert np.isnan(to_numpy(metric.result())["psnr"])


def test_without_masks_and_with_weights(samples):
    targets, images, _ = samples
    metric = MeanAbsoluteError()
    metric.update_state(targets[:2], images[:2], sample_weight=[1, 3])
    results = to_numpy(metric.result())
    expected = np.abs(targets - images).mean(axis=(1, 2, 3))[:2]
    expected = np.average(expected, weights=[1, 3])
    assert results["mae"] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(results["mae_0_20"])


def test_variables_of_replicas_add_up(samples):
    targets, images, masks = samples
    whole, *parts = (PSNR() for _ in range(3))
    whole.update_state(targets, images, mask=masks)
    # The second replica has fewer samples.
    for metric, part in zip(parts, (slice(4), slice(4, 6)), strict=True):
        metric.update_state(targets[part], images[part], mask=masks[part])
    for variable, *others in zip(*(x.variables for x in parts), strict=True):
        variable.assign(variable.value + others[0].value)
    results, expected = (
        {name: float(to_numpy(x)) for name, x in metric.result().items()}
        for metric in (parts[0], whole)
    )
    assert results == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(2, 16, 16, 1), (2, 16), (3,)])
def test_there_is_one_weight_per_sample(shape):
    for size in (1, 2):
        images = np.zeros((size, 16, 16, 3), "float32")
        with pytest.raises(Exception, match="(?i)shape|size|broadcast|dimension"):
            PSNR().update_state(images, images, sample_weight=np.ones(shape))
    metric = SampleCount()
    metric.update_state(images, images, sample_weight=np.ones((2, 1)))
    metric.update_state(images, images, sample_weight=0.5)
    assert to_numpy(metric.result()["samples"]) == 3


def errors_of_1_and_0():
    """Targets and images of two samples, whose errors are 1 and 0."""
    images = np.zeros((2, 16, 16, 3), "float32")
    images[0] = 1
    return np.zeros_like(images), images


def test_third_positional_argument_is_the_sample_weight():
    metric = MeanAbsoluteError()
    metric.update_state(*errors_of_1_and_0(), [1, 3])
    # (1 * 1 + 3 * 0) / (1 + 3)
    assert to_numpy(metric.result()["mae"]) == pytest.approx(0.25)
    with pytest.raises(TypeError, match="positional argument"):
        metric.update_state(*errors_of_1_and_0(), [1, 3], np.ones((2, 16, 16, 1)))


def test_call_updates_and_returns_the_result():
    metric = MeanAbsoluteError()
    result = metric(*errors_of_1_and_0(), sample_weight=np.array([3, 1]))
    assert to_numpy(result["mae"]) == pytest.approx(0.75)
    masks = np.zeros((2, 16, 16, 1))
    masks[1] = 0.5
    result = metric(*errors_of_1_and_0(), mask=masks)
    # (3 * 1 + 1 * 0 + 1 + 0) / 6
    assert to_numpy(result["mae"]) == pytest.approx(4 / 6)
    assert to_numpy(result["mae_0_20"]) == pytest.approx(1)
    assert to_numpy(result["mae_40_60"]) == pytest.approx(0)


def test_compiled_model_weights_the_metrics():
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    model.compile(loss="mae", weighted_metrics=[MeanAbsoluteError(), SampleCount()])
    targets, images = errors_of_1_and_0()
    logs = model.evaluate(
        images,
        targets,
        sample_weight=np.array([1.0, 3.0]),
        batch_size=1,
        verbose=0,
        return_dict=True,
    )
    assert logs["mae"] == pytest.approx(0.25)
    assert logs["samples"] == 4


def test_equal_images_make_the_mean_infinite(samples):
    targets, images, masks = samples
    metric = PSNR()
    first_equal = np.stack([targets[0], images[1]])
    metric.update_state(targets[:2], first_equal, mask=masks[:2])
    metric.update_state(targets[2:], images[2:], mask=masks[2:])
    results = to_numpy(metric.result())
    assert np.isposinf(results["psnr"])
    assert np.isposinf(results["psnr_0_20"])
    assert np.isfinite(results["psnr_20_40"])


def test_long_means_stay_exact():
    metric = MeanAbsoluteError()
    values = np.random.default_rng(0).uniform(0, 1, 3000).astype("float32")
    for batch in values.reshape(300, 10, 1, 1, 1):
        metric.update_state(batch, np.zeros_like(batch))
    assert to_numpy(metric.result())["mae"] == pytest.approx(values.mean(), rel=1e-6)


@pytest.mark.parametrize("cls", CLASSES)
def test_serialization(cls):
    metric = cls(name="other")
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric)
    )
    assert type(copy) is cls
    assert copy.get_config() == metric.get_config()
    assert next(iter(copy.result())) == "other"
