import keras
import numpy as np
import pytest

from keras_ctsdg.layers import RegionAffinityLearning, region_affinity
from tests._keras_private import TestCase
from tests.common import assert_close, assert_signature_is_config, call_compiled
from tests.golden_files import read_golden_layer
from tests.gradients import compute_gradients


class RegionAffinityLearningConformance(TestCase):
    def test_layer(self):
        self.run_layer_test(
            RegionAffinityLearning,
            init_kwargs={"softmax_scale": 5.0},
            input_shape=((2, 8, 6, 4), (2, 8, 6, 4)),
            expected_output_shape=(2, 8, 6, 4),
            expected_num_trainable_weights=0,
            expected_num_non_trainable_weights=0,
            run_training_check=False,  # The layer has no weights.
        )


@pytest.mark.parametrize(
    "name", ["region_affinity", "region_affinity_cross", "region_affinity_mostly_zero"]
)
def test_golden(name):
    numbers = read_golden_layer(name)
    background = numbers.get("background", numbers.get("input"))
    foreground = numbers.get("foreground", background)
    output = call_compiled(RegionAffinityLearning(), (background, foreground))
    assert_close(output, numbers["output"], atol=1e-4)


def attend_by_loops(background, foreground, scale=10.0):
    """Rebuild one feature map `[H, W, C]` query by query, by the definition."""
    height, width, _ = (length // 2 for length in background.shape)
    rows = np.arange(height) * (2 * height - 1) / (height - 1)
    columns = np.arange(width) * (2 * width - 1) / (width - 1)
    small = np.empty((height, width, foreground.shape[-1]))
    for i, y in enumerate(rows):
        for j, x in enumerate(columns):
            low_y, low_x = min(int(y), 2 * height - 2), min(int(x), 2 * width - 2)
            dy, dx = y - low_y, x - low_x
            square = foreground[low_y : low_y + 2, low_x : low_x + 2]
            small[i, j] = (1 - dy) * ((1 - dx) * square[0, 0] + dx * square[0, 1])
            small[i, j] += dy * ((1 - dx) * square[1, 0] + dx * square[1, 1])
    border = ((1, 1), (1, 1), (0, 0))
    small, padded = np.pad(small, border), np.pad(background, border)
    positions = [(i, j) for i in range(height) for j in range(width)]
    patches = [small[i : i + 3, j : j + 3] for i, j in positions]
    keys = [patch / max(np.linalg.norm(patch), 1e-4) for patch in patches]
    output = np.zeros_like(padded)
    for patch, (i, j) in zip(patches, positions, strict=True):
        scores = scale * np.array([(patch * key).sum() for key in keys])
        weights = np.exp(scores - scores.max())
        weights = np.maximum(weights / weights.sum(), 1e-8)
        for weight, (k, m) in zip(weights, positions, strict=True):
            value = padded[2 * k : 2 * k + 4, 2 * m : 2 * m + 4]
            output[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += weight * value
    return output[1:-1, 1:-1] / 4


def test_equals_loops():
    background, foreground = np.random.default_rng(0).normal(size=(2, 1, 8, 12, 3))
    output = call_compiled(RegionAffinityLearning(), (background, foreground))
    assert_close(output[0], attend_by_loops(background[0], foreground[0]), 1e-4)


def test_samples_of_a_batch_are_independent():
    batch = np.random.default_rng(0).normal(size=(3, 8, 8, 4)).astype("float32")
    layer = RegionAffinityLearning()
    alone = [
        keras.ops.convert_to_numpy(call_compiled(layer, (x[None],) * 2)) for x in batch
    ]
    together = call_compiled(layer, (batch, batch))
    assert_close(together, np.concatenate(alone), 1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 8), (7, 9)])
def test_any_size(size):
    features = np.random.default_rng(0).normal(size=(2, *size, 4)).astype("float32")
    output = call_compiled(RegionAffinityLearning(), (features,) * 2)
    output = keras.ops.convert_to_numpy(output)
    assert output.shape == features.shape
    assert np.isfinite(output).all()


def test_unknown_sizes():
    background, foreground = keras.Input((None, None, 4)), keras.Input((None, None, 4))
    output = RegionAffinityLearning()((background, foreground))
    assert tuple(output.shape) == (None, None, None, 4)
    model = keras.Model((background, foreground), output)
    features = np.random.default_rng(0).normal(size=(1, 9, 6, 4)).astype("float32")
    predicted = model.predict((features, features), verbose=0)
    expected = call_compiled(RegionAffinityLearning(), (features, features))
    assert_close(expected, predicted, 1e-5)


def test_gradient_is_finite_where_patches_are_zero():
    features = np.zeros((1, 8, 8, 4), "float32")
    features[0, :2, :2] = 1.0
    variable = keras.Variable(features)
    layer = RegionAffinityLearning()
    (gradient,) = compute_gradients(
        lambda: keras.ops.sum(keras.ops.square(layer((variable, variable)))),
        [variable],
    )
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_signature_is_config():
    assert_signature_is_config(RegionAffinityLearning())


@pytest.mark.parametrize(
    "shapes", [(1, 8, 8, 4), ((1, 8, 8, 4), (1, 4, 4, 4)), ((1, 8, 8, None),) * 2]
)
def test_bad_inputs(shapes):
    with pytest.raises(ValueError, match="Received: "):
        RegionAffinityLearning().build(shapes)


def make_layer(monkeypatch, scores=2**40, unrolled=8, grams=True):
    """Make a layer with these limits and one of the two implementations."""
    monkeypatch.setattr(region_affinity, "MAX_SCORES", scores)
    monkeypatch.setattr(region_affinity, "MAX_UNROLLED_STEPS", unrolled)
    monkeypatch.setattr(region_affinity, "_prefers_grams", lambda training: grams)
    return RegionAffinityLearning()


@pytest.mark.parametrize("grams", [True, False])
@pytest.mark.parametrize("unrolled", [8, 0])
def test_blocks_of_rows_equal_all_rows_at_once(monkeypatch, unrolled, grams):
    features = np.random.default_rng(0).normal(size=(2, 24, 16, 4)).astype("float32")
    at_once = call_compiled(make_layer(monkeypatch), (features, features))
    # 3 of the 12 rows at a time, with 8 queries each and 96 keys.
    layer = make_layer(monkeypatch, 3 * 8 * 96, unrolled, grams)
    in_blocks = call_compiled(layer, (features, features))
    assert_close(in_blocks, keras.ops.convert_to_numpy(at_once), 1e-5)


@pytest.mark.parametrize("grams", [True, False])
def test_gradients_of_all_implementations_agree(monkeypatch, grams):
    features = np.random.default_rng(0).normal(size=(1, 8, 8, 4)).astype("float32")
    variable = keras.Variable(features)

    def gradient(**kwargs):
        layer = make_layer(monkeypatch, **kwargs)
        (result,) = compute_gradients(
            lambda: keras.ops.sum(keras.ops.square(layer((variable, variable)))),
            [variable],
        )
        return result

    assert_close(gradient(scores=1, unrolled=0, grams=grams), gradient(), 1e-3)


def test_gradients_are_never_subnormal():
    x = keras.Variable(np.ones(4), dtype="float32")
    factors = keras.ops.convert_to_tensor([1e-39, -1e-31, 2.0**-96, -2.0], "float32")

    def loss():
        identity = region_affinity._without_subnormal_gradients(x.value)
        return keras.ops.sum(identity * factors)

    assert_close(loss(), -2.0, 0)
    assert_close(compute_gradients(loss, [x])[0], [0, 0, 2.0**-96, -2], 0)


def test_concentrated_attention_has_exact_gradients(monkeypatch):
    # Patches differ so much that each query attends to one key and ignores the others.
    features = np.random.default_rng(0).normal(scale=30, size=(1, 16, 16, 8))
    x = keras.Variable(features, dtype="float32")
    layer = RegionAffinityLearning()

    def loss():
        inputs = x.value, x.value
        return keras.ops.mean(keras.ops.square(layer(inputs, training=True)))

    actual = compute_gradients(loss, [x])[0]
    monkeypatch.setattr(region_affinity, "_without_subnormal_gradients", lambda x: x)
    np.testing.assert_allclose(
        actual, compute_gradients(loss, [x])[0], rtol=1e-6, atol=1e-12
    )
