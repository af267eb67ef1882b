import keras
import numpy as np
import pytest

from keras_ctsdg import losses
from tests.common import assert_close

ONE = np.ones((1, 2, 2, 3), "float32")
HALF_HOLE = np.array([1.0, 0, 0, 0]).reshape(1, 2, 2, 1).astype("float32")
LOG_2 = np.log(2.0)


def test_hole_and_valid_loss_split_the_absolute_error():
    assert_close(losses.hole_loss(ONE, -ONE, HALF_HOLE), 2 / 4, 1e-6)
    assert_close(losses.valid_loss(ONE, -ONE, HALF_HOLE), 2 * 3 / 4, 1e-6)


def test_gram_matrix_by_hand():
    # Channel 0 is 1 and channel 1 is 2 at all 4 pixels; C * H * W is 8.
    features = np.stack([np.ones((1, 2, 2)), 2 * np.ones((1, 2, 2))], -1)
    expected = np.array([[[4, 8], [8, 16]]]) / 8
    assert_close(losses.gram_matrix(features), expected, 1e-6)


def test_perceptual_and_style_loss_sum_over_levels():
    features, target_features = [ONE, 3 * ONE], [0 * ONE, ONE]
    assert_close(losses.perceptual_loss(features, target_features), 1 + 2, 1e-6)
    # Gram matrices: 4 / 12 against 0, and 9 * 4 / 12 against 4 / 12.
    grams = [losses.gram_matrix(level) for level in target_features]
    assert_close(losses.style_loss(features, grams), 1 / 3 + 8 / 3, 1e-5)


def test_cross_entropy_by_hand():
    logits = np.log(3.0) * np.ones((1, 2, 2, 1))  # sigmoid: 3 / 4
    assert_close(losses.logits_cross_entropy(logits, 1.0), np.log(4 / 3), 1e-6)
    assert_close(losses.logits_cross_entropy(logits, 0.0), np.log(4), 1e-6)
    half = losses.logits_cross_entropy(logits, 0.5)
    assert_close(half, np.log(4 / 3) / 2 + np.log(4) / 2, 1e-6)


@pytest.mark.parametrize("logit", [-1000.0, 1000.0])
def test_cross_entropy_of_saturated_logits_is_finite(logit):
    loss = losses.logits_cross_entropy(np.full((1, 1), logit, "float32"), 0.0)
    assert_close(loss, max(logit, 0.0), 1e-3)


def test_adversarial_and_intermediate_loss():
    zeros = np.zeros((1, 2, 2, 1), "float32")
    assert_close(losses.adversarial_loss(zeros, zeros, HALF_HOLE), 2 * LOG_2, 1e-6)
    loss = losses.intermediate_loss(ONE, zeros, -ONE, HALF_HOLE)
    assert_close(loss, LOG_2 + 2, 1e-6)


def test_discriminator_loss_has_four_terms():
    zeros = np.zeros((1, 2, 2, 1), "float32")
    undecided = {"patch_logits": zeros, "edge_logits": zeros}
    loss = losses.discriminator_loss(undecided, undecided, HALF_HOLE)
    assert_close(loss, 4 * LOG_2, 1e-6)
    # The sigmoid of log(3) is 3 / 4, so real patches cost log(4 / 3).
    confident = {"patch_logits": zeros + np.log(3), "edge_logits": zeros}
    loss = losses.discriminator_loss(confident, undecided, HALF_HOLE)
    assert_close(loss, np.log(4 / 3) + 3 * LOG_2, 1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_features_give_float32_losses(dtype):
    # 64 * 64 products of 10 would overflow float16.
    features = keras.ops.full((1, 64, 64, 2), 10.0, dtype=dtype)
    gram = losses.gram_matrix(features)
    assert keras.backend.standardize_dtype(gram.dtype) == "float32"
    assert_close(gram, np.full((1, 2, 2), 50.0), 1e-3)
    style = losses.style_loss([features], [0 * gram])
    assert keras.backend.standardize_dtype(style.dtype) == "float32"
    assert_close(style, 50.0, 1e-3)
