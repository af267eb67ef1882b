"""The terms that CTSDG is trained on (Guo et al., 2021, section 3.5).

All are means over all elements, scalars in float32 whatever the inputs' dtype.
Where a sigmoid meets a cross-entropy, they take its logits.
"""

from keras import ops

# What the generator's loss weighs each term with.
LOSS_WEIGHTS = {
    "hole": 60.0,
    "valid": 10.0,
    "perceptual": 0.1,
    "style": 250.0,
    "adversarial": 0.1,
    "intermediate": 1.0,
}


def absolute_error(x, y):
    """Mean absolute difference.

    Args:
        x: Tensor of any shape.
        y: Tensor of the same shape.

    Returns:
        Scalar tensor.
    """
    return ops.mean(ops.absolute(_float32(x) - _float32(y)))


def logits_cross_entropy(logits, target):
    """Mean binary cross-entropy between `sigmoid(logits)` and `target`.

    Args:
        logits: Tensor of any shape.
        target: Tensor of the same shape, or a number, in [0, 1].

    Returns:
        Scalar tensor.
    """
    logits = _float32(logits)
    return ops.mean(ops.softplus(logits) - _float32(target) * logits)


def hole_loss(output, truth, mask):
    """Absolute error inside the hole, over all elements.

    Args:
        output: Tensor `[B, H, W, 3]` in [-1, 1], the generator's picture.
        truth: Tensor `[B, H, W, 3]` in [-1, 1].
        mask: Tensor `[B, H, W, 1]`, where 1 marks the hole.

    Returns:
        Scalar tensor.
    """
    difference = _float32(output) - _float32(truth)
    return ops.mean(_float32(mask) * ops.absolute(difference))


def valid_loss(output, truth, mask):
    """Absolute error outside the hole, over all elements.

    Args:
        output: Tensor `[B, H, W, 3]` in [-1, 1], the generator's picture.
        truth: Tensor `[B, H, W, 3]` in [-1, 1].
        mask: Tensor `[B, H, W, 1]`, where 1 marks the hole.

    Returns:
        Scalar tensor.
    """
    return hole_loss(output, truth, 1.0 - _float32(mask))


def gram_matrix(features):
    """How the channels of a feature go together, whatever the place.

    Args:
        features: Tensor `[B, H, W, C]`.

    Returns:
        Tensor `[B, C, C]` in float32, divided by `C * H * W`.
    """
    _, height, width, channels = ops.shape(features)
    features = ops.reshape(_float32(features), (-1, height * width, channels))
    products = ops.matmul(ops.transpose(features, (0, 2, 1)), features)
    return products / ops.cast(channels * height * width, "float32")


def perceptual_loss(features, true_features):
    """Absolute error of a perceptual network's features, summed over its levels.

    Args:
        features: List of tensors `[B, H, W, C]`, one a level.
        true_features: List of tensors of the same shapes.

    Returns:
        Scalar tensor.
    """
    return _level_sum(absolute_error, features, true_features)


def style_loss(features, true_grams):
    """Absolute error of the features' Gram matrices, summed over the levels.

    Args:
        features: List of tensors `[B, H, W, C]`, one a level.
        true_grams: List of tensors `[B, C, C]`, `gram_matrix` of the true features.

    Returns:
        Scalar tensor.
    """
    return _level_sum(absolute_error, map(gram_matrix, features), true_grams)


def adversarial_loss(patch_logits, edge_logits, edge):
    """What the generator pays when its picture is told from a real one.

    Args:
        patch_logits: Tensor, the discriminator's logits of the fake picture.
        edge_logits: Tensor `[B, H, W, 1]`, the edge it detects there.
        edge: Tensor `[B, H, W, 1]`, the true picture's Canny edge, 0 or 1.

    Returns:
        Scalar tensor.
    """
    return logits_cross_entropy(patch_logits, 1.0) + logits_cross_entropy(
        edge_logits, edge
    )


def intermediate_loss(projected_image, projected_edge_logits, truth, edge):
    """What the two streams pay for their own predictions.

    Args:
        projected_image: Tensor `[B, H, W, 3]` in [-1, 1], of the texture stream.
        projected_edge_logits: Tensor `[B, H, W, 1]`, of the structure stream.
        truth: Tensor `[B, H, W, 3]` in [-1, 1].
        edge: Tensor `[B, H, W, 1]`, the truth's Canny edge, 0 or 1.

    Returns:
        Scalar tensor.
    """
    return logits_cross_entropy(projected_edge_logits, edge) + absolute_error(
        projected_image, truth
    )


def discriminator_loss(real, fake, edge):
    """What the discriminator pays.

    Args:
        real: Dict of `patch_logits` and `edge_logits` for the true picture.
        fake: The same for the generator's picture, through which no gradient
            should flow.
        edge: Tensor `[B, H, W, 1]`, the true picture's Canny edge, 0 or 1.

    Returns:
        Scalar tensor.
    """
    return (
        logits_cross_entropy(real["patch_logits"], 1.0)
        + logits_cross_entropy(fake["patch_logits"], 0.0)
        + logits_cross_entropy(real["edge_logits"], edge)
        + logits_cross_entropy(fake["edge_logits"], edge)
    )


def _level_sum(error, features, true_features):
    return sum(error(x, y) for x, y in zip(features, true_features, strict=True))


def _float32(x):
    return ops.cast(x, "float32")
