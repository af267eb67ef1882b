"""Loss terms of CTSDG (Guo et al., 2021, section 3.5).

Every term is a mean over all elements and a float32 scalar, whatever the dtype of the
inputs. Terms with a cross-entropy take logits, not the output of a sigmoid. A mask is
1 in the hole.
"""

from keras import ops

from keras_ctsdg.conventions import composite
from keras_ctsdg.layers._batch_mean import batch_mean

# The paper's weights of the terms in the generator's loss.
LOSS_WEIGHTS = {
    "hole": 60.0,
    "valid": 10.0,
    "perceptual": 0.1,
    "style": 250.0,
    "adversarial": 0.1,
    "intermediate": 1.0,
}


def absolute_error(x, y):
    """Compute the mean absolute difference of two tensors.

    Args:
        x: Tensor of any shape.
        y: Tensor of the same shape.

    Returns:
        Float32 scalar tensor.

    Example:

    >>> float(keras_ctsdg.losses.absolute_error(np.zeros(4), np.full(4, 0.5)))
    0.5
    """
    return batch_mean(ops.absolute(_float32(x) - _float32(y)))


def logits_cross_entropy(logits, target):
    """Compute the mean binary cross-entropy of `sigmoid(logits)` and `target`.

    Args:
        logits: Tensor of any shape.
        target: Tensor of the same shape, or a number, in [0, 1].

    Returns:
        Float32 scalar tensor, in nats.
    """
    logits = _float32(logits)
    return batch_mean(ops.softplus(logits) - _float32(target) * logits)


def hole_loss(output, target, mask):
    """Compute the absolute error inside the hole, averaged over all elements.

    Args:
        output: Tensor `[B, H, W, 3]` in [-1, 1], the generator's output.
        target: Tensor `[B, H, W, 3]` in [-1, 1], the original image.
        mask: Tensor `[B, H, W, 1]` in [0, 1], where 1 marks the hole.

    Returns:
        Float32 scalar tensor.
    """
    difference = _float32(output) - _float32(target)
    return batch_mean(_float32(mask) * ops.absolute(difference))


def valid_loss(output, target, mask):
    """Compute the absolute error outside the hole, averaged over all elements.

    Args:
        output: Tensor `[B, H, W, 3]` in [-1, 1], the generator's output.
        target: Tensor `[B, H, W, 3]` in [-1, 1], the original image.
        mask: Tensor `[B, H, W, 1]` in [0, 1], where 1 marks the hole.

    Returns:
        Float32 scalar tensor.
    """
    return hole_loss(output, target, 1.0 - _float32(mask))


def gram_matrix(features):
    """Compute the Gram matrix of feature maps: products of channels, over all pixels.

    Args:
        features: Tensor `[B, H, W, C]`.

    Returns:
        Float32 tensor `[B, C, C]`, the sums divided by `C * H * W`.
    """
    _, height, width, channels = ops.shape(features)
    features = ops.reshape(_float32(features), (-1, height * width, channels))
    products = ops.matmul(ops.transpose(features, (0, 2, 1)), features)
    return products / ops.cast(channels * height * width, "float32")


def perceptual_loss(features, target_features):
    """Compute the absolute error of a perceptual network's features.

    Args:
        features: List of tensors `[B, H, W, C]`, one per level, of the output.
        target_features: List of tensors of the same shapes, of the original image.

    Returns:
        Float32 scalar tensor, the sum over the levels.
    """
    return _sum_over_levels(features, target_features)


def style_loss(features, target_grams):
    """Compute the absolute error of the Gram matrices of features.

    Args:
        features: List of tensors `[B, H, W, C]`, one per level, of the output.
        target_grams: List of tensors `[B, C, C]`, the `gram_matrix` of each level of
            the original image's features.

    Returns:
        Float32 scalar tensor, the sum over the levels.
    """
    return _sum_over_levels(map(gram_matrix, features), target_grams)


def perceptual_terms(network, output, target, mask):
    """Compute perceptual and style loss, each summed over output and composite.

    Args:
        network: Callable that maps images `[B, H, W, 3]` in [-1, 1] to a list of
            features, such as `keras_ctsdg.models.VGG16Features`.
        output: Tensor `[B, H, W, 3]` in [-1, 1], the generator's output.
        target: Tensor `[B, H, W, 3]` in [-1, 1], the original image.
        mask: Tensor `[B, H, W, 1]` in [0, 1], where 1 marks the hole.

    Returns:
        Dict of the float32 scalar tensors `perceptual` and `style`.
    """
    features = network(ops.concatenate([output, composite(output, target, mask)]))
    halves = zip(*(ops.split(level, 2) for level in features), strict=True)
    target_features = network(target)
    target_grams = [gram_matrix(level) for level in target_features]
    terms = {"perceptual": 0.0, "style": 0.0}
    for half in halves:
        terms["perceptual"] += perceptual_loss(half, target_features)
        terms["style"] += style_loss(half, target_grams)
    return terms


def adversarial_loss(patch_logits, edge_logits, edge):
    """Compute the generator's adversarial loss.

    It is low if the discriminator takes the output for a real image and detects the
    original image's edges in it.

    Args:
        patch_logits: Tensor `[B, H / 8 - 2, W / 8 - 2, 2]`, the discriminator's logits
            that patches of the output are real.
        edge_logits: Tensor `[B, H, W, 1]`, the logits of the edges that the
            discriminator detects in the output.
        edge: Tensor `[B, H, W, 1]`, the original image's Canny edges: 1 on edges, 0
            elsewhere.

    Returns:
        Float32 scalar tensor, the sum of both cross-entropies.
    """
    return logits_cross_entropy(patch_logits, 1.0) + logits_cross_entropy(
        edge_logits, edge
    )


def intermediate_loss(projected_image, projected_edge_logits, target, edge):
    """Compute the loss of the predictions of the texture and structure streams.

    Args:
        projected_image: Tensor `[B, H, W, 3]` in [-1, 1], the image that the texture
            stream predicts.
        projected_edge_logits: Tensor `[B, H, W, 1]`, the logits of the edges that the
            structure stream predicts.
        target: Tensor `[B, H, W, 3]` in [-1, 1], the original image.
        edge: Tensor `[B, H, W, 1]`, its Canny edges: 1 on edges, 0 elsewhere.

    Returns:
        Float32 scalar tensor, the sum of the edges' cross-entropy and the image's
        absolute error.
    """
    return logits_cross_entropy(projected_edge_logits, edge) + absolute_error(
        projected_image, target
    )


def discriminator_loss(real, fake, edge):
    """Compute the discriminator's loss.

    Args:
        real: Dict of the discriminator's outputs for the original image:
            `patch_logits` `[B, H / 8 - 2, W / 8 - 2, 2]` and `edge_logits`
            `[B, H, W, 1]`.
        fake: Dict of the same outputs for the generator's output, through which no
            gradient should flow.
        edge: Tensor `[B, H, W, 1]`, the original image's Canny edges: 1 on edges, 0
            elsewhere.

    Returns:
        Float32 scalar tensor, the sum of four cross-entropies.
    """
    return (
        logits_cross_entropy(real["patch_logits"], 1.0)
        + logits_cross_entropy(fake["patch_logits"], 0.0)
        + logits_cross_entropy(real["edge_logits"], edge)
        + logits_cross_entropy(fake["edge_logits"], edge)
    )


def _sum_over_levels(values, targets):
    return sum(absolute_error(x, y) for x, y in zip(values, targets, strict=True))


def _float32(x):
    return ops.cast(x, "float32")
