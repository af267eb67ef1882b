"""Similarities of 3 x 3 patches, in two implementations with equal results."""

from keras import ops

from keras_ctsdg.layers._ops import add_up, zero_pad


def gram_scores(features):
    """Compare 3 x 3 patches by summing products of pixels over nine diagonal shifts.

    Args:
        features: Tensor `[B, H, W, C]`.

    Returns:
        Function of a first row and a number of rows. It returns the products of the
        patches in these rows with all patches, the latter scaled to unit length:
        float32 `[B, rows * W, H * W]`.
    """
    _, height, width, channels = ops.shape(features)
    padded = zero_pad(features, 1)
    positions = (height + 2) * (width + 2)
    keys = ops.transpose(ops.reshape(padded, (-1, positions, channels)), (0, 2, 1))
    squares = ops.sum(ops.square(ops.cast(padded, "float32")), axis=-1)
    squares = add_up(
        squares[:, i : i + height, j : j + width] for i in range(3) for j in range(3)
    )
    inverse_norms = ops.reshape(_inverse_norms(squares), (-1, 1, 1, height, width))

    def scores(start, rows):
        queries = _row_slice(padded, start, rows + 2)
        queries = ops.reshape(queries, (-1, (rows + 2) * (width + 2), channels))
        grams = ops.cast(ops.matmul(queries, keys), "float32")
        grams = ops.reshape(grams, (-1, rows + 2, width + 2, height + 2, width + 2))
        grams = add_up(grams[:, i : i + rows, :, i : i + height] for i in range(3))
        grams = add_up(grams[:, :, j : j + width, :, j : j + width] for j in range(3))
        return ops.reshape(grams * inverse_norms, (-1, rows * width, height * width))

    return scores


def patch_scores(features):
    """Compare 3 x 3 patches as `gram_scores` does, by products of whole patches."""
    _, height, width, channels = ops.shape(features)
    padded = zero_pad(features, 1)

    def patches(start, rows):
        x = _row_slice(padded, start, rows + 2)
        x = ops.concatenate(
            [x[:, i : i + rows, j : j + width] for i in range(3) for j in range(3)],
            axis=-1,
        )
        return ops.reshape(x, (-1, rows * width, 9 * channels))

    keys = patches(0, height)
    squares = ops.sum(ops.square(ops.cast(keys, "float32")), axis=-1, keepdims=True)
    keys = ops.transpose(
        keys * ops.cast(_inverse_norms(squares), keys.dtype), (0, 2, 1)
    )

    def scores(start, rows):
        return ops.cast(ops.matmul(patches(start, rows), keys), "float32")

    return scores


def _inverse_norms(squares):
    # The floor inside the root keeps the gradient of zero patches finite. In files in
    # half precision it is 0, and the second one, which is equal, keeps the quotient so.
    return 1.0 / ops.maximum(ops.sqrt(ops.maximum(squares, 1e-8)), 1e-4)


def _row_slice(x, start, rows):
    batch, _, width, channels = ops.shape(x)
    return ops.slice(x, (0, start, 0, 0), (batch, rows, width, channels))
