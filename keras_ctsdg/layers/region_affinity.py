import keras
from keras import ops

from keras_ctsdg.layers._ops import zero_pad
from keras_ctsdg.layers._patch_scores import gram_scores, patch_scores
from keras_ctsdg.layers._shape_checks import check_same_shape
from keras_ctsdg.layers.upsampling import resize_aligned


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class RegionAffinityLearning(keras.layers.Layer):
    """Rebuild every region of a feature map from the regions that resemble it.

    This is contextual attention over patches. Similarities are computed between 3 x 3
    patches of the foreground at half its size (queries, and keys of unit length).
    Attention then blends the 4 x 4 patches of the background at the positions of the
    keys, and the results are summed where they overlap.

    Where it is faster, both products are computed on single pixels and on 2 x 2
    blocks, of which the patches are sums. Rows of queries are processed one block
    after the other, so that memory grows with the number of pixels; a whole attention
    map would hold `(H / 2 * W / 2) ** 2` numbers per image.

    Args:
        softmax_scale: Float, the factor by which similarities are multiplied before
            the softmax. Defaults to `10.0`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Tuple `(background, foreground)` of two tensors `[B, H, W, C]`. If
            their height or width is odd, the last row or column is repeated for the
            computation and cut off from the result.
        training: Bool, whether gradients will be computed. It selects the faster
            implementation and does not change the result. Defaults to `False`.

    Returns:
        Tensor `[B, H, W, C]`.

    Raises:
        ValueError: If the inputs are not two feature maps of the same shape.

    Example:

    >>> features = np.ones((1, 16, 16, 8))
    >>> output = RegionAffinityLearning()((features, features))
    >>> tuple(output.shape)
    (1, 16, 16, 8)

    Reference:
        - [Guo et al., 2021](https://arxiv.org/abs/2108.09760), section 3.3
        - [Yu et al., 2018](https://arxiv.org/abs/1801.07892)
    """

    def __init__(self, softmax_scale=10.0, **kwargs):
        super().__init__(**kwargs)
        self.softmax_scale = softmax_scale

    def build(self, input_shape):
        check_same_shape(self, input_shape, ("background", "foreground"))

    def call(self, inputs, training=False):
        background, foreground = inputs
        _, height, width, _ = ops.shape(background)
        output = self._attend(
            _pad_to_even(background), _pad_to_even(foreground), training
        )
        return output[:, :height, :width]

    def _attend(self, background, foreground, training):
        batch, height, width, channels = ops.shape(background)
        height, width = height // 2, width // 2
        features = resize_aligned(foreground, height, width)
        scores = (gram_scores if _prefers_grams(training) else patch_scores)(features)
        values = _to_blocks(background)
        rows = _rows_per_step(height, width, training)

        def attend(start):
            """Blend the values for a block of rows: [B, rows + 1, W + 1, 4 * C]."""
            similarities = scores(start, rows) * self.softmax_scale
            if training and keras.backend.backend() == "torch":
                similarities = _without_subnormal_gradients(similarities)
            attention = ops.softmax(similarities, axis=-1)
            # For the gradient of `maximum`, XLA would write two factors to memory.
            attention = ops.where(attention >= 1e-8, attention, 1e-8)
            attention = ops.cast(attention, background.dtype)
            attention = ops.reshape(attention, (-1, rows, width, height, width))
            # Patches overlap in whole blocks of 2 x 2 pixels. Each block belongs to
            # four patches, so their attention to it can be summed beforehand.
            attention = _shifted_sum(_shifted_sum(attention, 1), 2)
            positions = (height + 1) * (width + 1)
            attention = ops.reshape(
                attention, (-1, (rows + 1) * (width + 1), positions)
            )
            blended = ops.matmul(attention, values)
            return ops.reshape(blended, (-1, rows + 1, width + 1, 4 * channels))

        shape = (batch, rows + 1, width + 1, 4 * channels)
        zeros = ops.zeros(shape, background.dtype)
        blended = _map_rows(attend, zeros, height, rows)
        return _to_pixels(_merge_rows(blended)) / 4

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    @staticmethod
    def scores_in_memory(height, width):
        """Return how many scores inference holds at once per image.

        Args:
            height: Int, the height of the feature maps.
            width: Int, the width of the feature maps.

        Returns:
            Int. It covers at least two rows of queries, which is the fewest that are
            processed at once.
        """
        height, width = height // 2, width // 2
        return max(MAX_SCORES, 2 * width * height * width)

    def get_config(self):
        return {**super().get_config(), "softmax_scale": self.softmax_scale}


# === How many rows at once, and which implementation: limits are measured ===

# Scores computed at once per image. Those of 8 rows of a 256 x 256 image stay in a
# CPU's cache; training keeps all of them for the gradients anyway.
MAX_SCORES = 2**21
MAX_TRAINING_SCORES = 2**25
# Up to this many steps, a graph repeats the step instead of looping.
MAX_UNROLLED_STEPS = 8


def _prefers_grams(training):
    """Return whether sums of a Gram matrix are faster than products of whole patches.

    They take nine times fewer multiplications but move more memory. They are faster
    except in the gradients of TensorFlow and PyTorch, which do not fuse the sums.
    """
    return not training or keras.backend.backend() == "jax"


def _rows_per_step(height, width, training):
    """Return the largest divisor of the height within the limit, or else up to 2."""
    if not isinstance(height, int) or not isinstance(width, int):
        return ops.where(height % 2 == 0, 2, 1)
    limit = MAX_TRAINING_SCORES if training else MAX_SCORES
    most = min(height, max(2, limit // (width * height * width)))
    return max(rows for rows in range(1, most + 1) if height % rows == 0)


def _map_rows(function, zeros, height, rows):
    """Apply a function to one block of rows after the other.

    Args:
        function: Function of the first row of a block.
        zeros: Tensor of zeros, of the shape and dtype of the function's result.
        height: Int, the number of all rows.
        rows: Int, the number of rows in a block, which divides the height.

    Returns:
        Tensor of the results, stacked on a new first axis.
    """
    if isinstance(rows, int) and height // rows <= MAX_UNROLLED_STEPS:
        return ops.stack([function(start) for start in range(0, height, rows)])
    starts = ops.arange(height // rows, dtype="int32") * rows

    def body(_, start):
        # As the loop's carry, a result must be complete before the next step starts.
        # TensorFlow would otherwise run steps in parallel, in several times the memory.
        result = function(start)
        return result, result

    return ops.scan(body, zeros, starts)[1]


# === Attention ===


def _shifted_sum(x, axis):
    """Add neighbors along an axis of the queries (1 or 2) and that of the keys.

    The result is longer by 1 on both axes.
    """

    def pad(widths):
        return ops.pad(
            x, [widths if i in (axis, axis + 2) else (0, 0) for i in range(5)]
        )

    return pad((0, 1)) + pad((1, 0))


@ops.custom_gradient
def _without_subnormal_gradients(x):
    """Return `x`, with gradients of a magnitude below 1e-30 set to zero.

    Where attention concentrates on few patches, most of its gradients are almost zero.
    TensorFlow and XLA flush such numbers to zero; PyTorch multiplies them on a CPU
    twenty times slower than others.
    """

    def gradient(*args, upstream=None):
        # Keras passes `x` and the keyword `upstream` on PyTorch only.
        return ops.hard_shrink(args[0] if upstream is None else upstream, 1e-30)

    return x, gradient


# === Pixels and blocks of 2 x 2 ===


def _pad_to_even(x):
    """Repeat the last row if the height is odd, and the last column likewise."""
    _, height, width, _ = ops.shape(x)
    x = ops.concatenate([x, x[:, height - height % 2 : height]], axis=1)
    return ops.concatenate([x, x[:, :, width - width % 2 : width]], axis=2)


def _to_blocks(x):
    """Pad `[B, 2 * H, 2 * W, C]` by 1 and reshape to `[B, (H + 1) * (W + 1), 4 * C]`.

    Each row of the result is a block of 2 x 2 pixels.
    """
    blocks = ops.space_to_depth(zero_pad(x, 1), 2)
    _, height, width, channels = ops.shape(blocks)
    return ops.reshape(blocks, (-1, height * width, channels))


def _to_pixels(blocks):
    """Reshape blocks `[B, H + 1, W + 1, 4 * C]` to pixels `[B, 2 * H, 2 * W, C]`."""
    return ops.depth_to_space(blocks, 2)[:, 1:-1, 1:-1]


def _merge_rows(blended):
    """Concatenate blocks of rows, adding the last row of each to the next one's first.

    Args:
        blended: Tensor `[n, B, rows + 1, W, C]`.

    Returns:
        Tensor `[B, n * rows + 1, W, C]`.
    """
    count, _, rows, width, channels = ops.shape(blended)
    rows = rows - 1
    blended = ops.transpose(blended, (1, 0, 2, 3, 4))
    shape = (-1, count * rows, width, channels)
    body = ops.reshape(blended[:, :, :rows], shape)
    last = blended[:, :, rows:]
    last = ops.pad(last, ((0, 0), (0, 0), (rows - 1, 0), (0, 0), (0, 0)))
    last = ops.reshape(last, shape)
    return ops.pad(body, ((0, 0), (0, 1), (0, 0), (0, 0))) + ops.pad(
        last, ((0, 0), (1, 0), (0, 0), (0, 0))
    )
