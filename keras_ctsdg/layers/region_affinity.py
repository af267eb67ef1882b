import keras
from keras import ops

from keras_ctsdg.layers._ops import add_up, zero_pad
from keras_ctsdg.layers._shape_checks import check_same_shape
from keras_ctsdg.layers.upsampling import resize_aligned


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class RegionAffinityLearning(keras.layers.Layer):
    """Rebuilds every region of a feature from the regions that resemble it.

    Contextual attention over patches: similarities are taken between 3 x 3
    patches of the foreground at half its size (queries, and keys of unit length);
    what is carried over are the 4 x 4 patches of the background at the same
    places, added up where they overlap. Both products are taken over single pixels
    and blocks of 2 x 2, of which patches are sums, where that is faster. Outside
    of training, rows of queries are worked on in turn, so that memory grows with
    the number of pixels; the whole attention map would hold `(H / 2 * W / 2) ** 2`
    numbers a picture.

    Args:
        softmax_scale: Float, what similarities are multiplied with before the
            softmax. Defaults to `10.0`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Tuple `(background, foreground)` of two tensors `[B, H, W, C]`.
            An odd height or width is completed by a copy of its last row or
            column for the computation.
        training: Bool, whether gradients will be asked for: it chooses the faster
            form, not the result.

    Returns:
        Tensor `[B, H, W, C]`.

    Example:

    >>> features = np.random.normal(size=(1, 16, 16, 8))
    >>> RegionAffinityLearning()((features, features)).shape
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
        output = self._attend(_complete(background), _complete(foreground), training)
        return output[:, :height, :width]

    def _attend(self, background, foreground, training):
        batch, height, width, channels = ops.shape(background)
        height, width = height // 2, width // 2
        features = resize_aligned(foreground, height, width)
        scores = (_gram_scores if _prefers_grams(training) else _patch_scores)(features)
        values = _blocks(background)
        rows = _rows_at_once(height, width, training)

        def carry_over(start):
            """What the patches of some rows take: [B, rows + 1, W + 1, 4 * C]."""
            similar = scores(start, rows) * self.softmax_scale
            if training and keras.backend.backend() == "torch":
                similar = _without_subnormal_gradients(similar)
            attention = ops.softmax(similar, axis=-1)
            # Not `maximum`: XLA would write its gradient's two factors to memory.
            attention = ops.where(attention >= 1e-8, attention, 1e-8)
            attention = ops.cast(attention, background.dtype)
            attention = ops.reshape(attention, (-1, rows, width, height, width))
            # Patches overlap in whole blocks of 2 x 2 pixels: a block takes part in
            # four patches, and what they take from it can be added up beforehand.
            attention = _shifted_sum(_shifted_sum(attention, 1), 2)
            positions = (height + 1) * (width + 1)
            attention = ops.reshape(
                attention, (-1, (rows + 1) * (width + 1), positions)
            )
            taken = ops.matmul(attention, values)
            return ops.reshape(taken, (-1, rows + 1, width + 1, 4 * channels))

        shape = (batch, rows + 1, width + 1, 4 * channels)
        nothing = ops.zeros(shape, background.dtype)
        taken = _in_turn(carry_over, nothing, height, rows)
        return _pixels(_join(taken)) / 4

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    @staticmethod
    def scores_in_memory(height, width):
        """Return how many scores an inference holds at once for a feature `[H, W]`.

        Rows of queries are processed in turn, at least two of them at once.
        """
        height, width = height // 2, width // 2
        return max(SCORES, 2 * width * height * width)

    def get_config(self):
        return {**super().get_config(), "softmax_scale": self.softmax_scale}


# === How much at once, and in which form: by the clock ===

# Scores that are computed at once, a picture. Those of 8 rows of 256 x 256 stay in
# a CPU's cache; gradients need them all anyway.
SCORES = 2**21
TRAINING_SCORES = 2**25
# Blocks of rows that a graph repeats instead of looping over them.
UNROLLED = 8


def _prefers_grams(training):
    """Whether sums of a Gram matrix beat products of whole patches.

    They multiply nine times less and move more memory: faster everywhere but in the
    gradients of TensorFlow and PyTorch, which do not fuse the sums.
    """
    return not training or keras.backend.backend() == "jax"


def _rows_at_once(height, width, training):
    """The most rows that divide the height within the limit, or else up to 2."""
    if not isinstance(height, int) or not isinstance(width, int):
        return ops.where(height % 2 == 0, 2, 1)
    limit = (TRAINING_SCORES if training else SCORES) // (width * height * width)
    most = min(height, max(2, limit))
    return max(rows for rows in range(1, most + 1) if height % rows == 0)


def _in_turn(carry_over, nothing, height, rows):
    """Results for all blocks of rows, of the shape of `nothing`, on a new first axis.

    One after the other: results are the carry of a loop, or TensorFlow would work on
    several at once, in several times the memory.
    """
    if isinstance(rows, int) and height // rows <= UNROLLED:
        return ops.stack([carry_over(start) for start in range(0, height, rows)])
    starts = ops.arange(height // rows, dtype="int32") * rows

    def body(_, start):
        taken = carry_over(start)
        return taken, taken

    return ops.scan(body, nothing, starts)[1]


# === Similarities of patches ===


def _gram_scores(features):
    """Similarities of 3 x 3 patches as sums of pixels' over nine diagonal shifts.

    Args:
        features: Tensor `[B, H, W, C]`.

    Returns:
        Function of a first row and a number of rows. It gives the similarities of
        their patches to all, of unit length, `[B, rows * W, H * W]` in float32.
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


def _patch_scores(features):
    """As `_gram_scores`, by products of whole patches."""
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


def _shifted_sum(x, axis):
    """Adds what is one place further on an axis and on the same of the keys."""

    def pad(widths):
        return ops.pad(
            x, [widths if i in (axis, axis + 2) else (0, 0) for i in range(5)]
        )

    return pad((0, 1)) + pad((1, 0))


@ops.custom_gradient
def _without_subnormal_gradients(x):
    """`x`, with gradients below 1e-30 as zero.

    Where the attention is sure of itself, most of its gradients are next to nothing.
    TensorFlow and XLA take such numbers as zero; PyTorch multiplies them on a CPU
    twenty times slower than others.
    """

    def gradient(*given, upstream=None):
        # PyTorch gives `x` too, and what comes back by its name.
        return ops.hard_shrink(given[0] if upstream is None else upstream, 1e-30)

    return x, gradient


def _inverse_norms(squares):
    # The floor is under the root, where a patch of zeros has a gradient.
    return 1.0 / ops.sqrt(ops.maximum(squares, 1e-8))


def _row_slice(x, start, rows):
    batch, _, width, channels = ops.shape(x)
    return ops.slice(x, (0, start, 0, 0), (batch, rows, width, channels))


# === Pixels and blocks of 2 x 2 ===


def _complete(x):
    """Repeats the last row and column where their number is odd."""
    _, height, width, _ = ops.shape(x)
    x = ops.concatenate([x, x[:, height - height % 2 : height]], axis=1)
    return ops.concatenate([x, x[:, :, width - width % 2 : width]], axis=2)


def _blocks(x):
    """`[B, 2 * H, 2 * W, C]`, zero padded by 1, as `[B, (H + 1) * (W + 1), 4 * C]`."""
    blocks = ops.space_to_depth(zero_pad(x, 1), 2)
    _, height, width, channels = ops.shape(blocks)
    return ops.reshape(blocks, (-1, height * width, channels))


def _pixels(blocks):
    """The reverse of `_blocks`, of `[B, H + 1, W + 1, 4 * C]`."""
    return ops.depth_to_space(blocks, 2)[:, 1:-1, 1:-1]


def _join(taken):
    """Puts blocks of rows together, the last row of each on the first of the next.

    Args:
        taken: Tensor `[n, B, rows + 1, W, C]`.

    Returns:
        Tensor `[B, n * rows + 1, W, C]`.
    """
    count, _, rows, width, channels = ops.shape(taken)
    rows = rows - 1
    taken = ops.transpose(taken, (1, 0, 2, 3, 4))
    whole = (-1, count * rows, width, channels)
    body = ops.reshape(taken[:, :, :rows], whole)
    last = ops.pad(taken[:, :, rows:], ((0, 0), (0, 0), (rows - 1, 0), (0, 0), (0, 0)))
    last = ops.reshape(last, whole)
    return ops.pad(body, ((0, 0), (0, 1), (0, 0), (0, 0))) + ops.pad(
        last, ((0, 0), (1, 0), (0, 0), (0, 0))
    )
