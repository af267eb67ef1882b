import keras
from keras import ops

from keras_ctsdg.layers.shapes import check_same_shape
from keras_ctsdg.layers.upsampling import resize_aligned


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class RegionAffinityLearning(keras.layers.Layer):
    """Rebuilds every region of a feature from the regions that resemble it.

    Contextual attention over patches: similarities are taken between 3 x 3
    patches of the foreground at half its size (queries, and keys of unit length);
    what is carried over are the 4 x 4 patches of the background at the same
    places, added up where they overlap. A whole batch is attended at once; the
    attention map holds `(H / 2 * W / 2) ** 2` numbers a picture.

    Args:
        softmax_scale: Float, what similarities are multiplied with before the
            softmax. Defaults to `10.0`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Tuple `(background, foreground)` of two tensors `[B, H, W, C]`.
            An odd height or width is completed by a copy of its last row or
            column for the computation.

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

    def call(self, inputs):
        background, foreground = inputs
        _, height, width, _ = ops.shape(background)
        output = self._attend(_complete(background), _complete(foreground))
        return output[:, :height, :width]

    def _attend(self, background, foreground):
        _, height, width, channels = ops.shape(background)
        height, width = height // 2, width // 2
        queries = _flatten(_patches(resize_aligned(foreground, height, width), 3, 1))
        values = _flatten(_patches(background, 4, 2))
        attention = self._attention(queries)
        carried = ops.matmul(attention, values)
        carried = ops.reshape(carried, (-1, height, width, 2, 2, 2, 2, channels))
        return _overlap_add(carried) / 4

    def _attention(self, queries):
        """Softmax over the similarities of all patches, [B, N, N]."""
        # Squares, norms and the softmax would leave the range of float16.
        squares = ops.sum(ops.square(ops.cast(queries, "float32")), -1, keepdims=True)
        # The floor is under the root, where a patch of zeros has a gradient.
        norms = ops.sqrt(ops.maximum(squares, 1e-8))
        keys = queries / ops.cast(norms, queries.dtype)
        scores = ops.matmul(queries, ops.transpose(keys, (0, 2, 1)))
        scores = ops.cast(scores, "float32") * self.softmax_scale
        attention = ops.maximum(ops.softmax(scores, axis=-1), 1e-8)
        return ops.cast(attention, queries.dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    def get_config(self):
        return {**super().get_config(), "softmax_scale": self.softmax_scale}


def _complete(x):
    """Repeats the last row and column where their number is odd."""
    _, height, width, _ = ops.shape(x)
    x = ops.concatenate([x, x[:, height - height % 2 : height]], axis=1)
    return ops.concatenate([x, x[:, :, width - width % 2 : width]], axis=2)


def _patches(x, size, stride):
    """Patches of `x`, zero padded by 1: [B, H / stride, W / stride, size² * C]."""
    _, height, width, _ = ops.shape(x)
    rows, columns = height // stride, width // stride
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [
        x[
            :,
            i : i + stride * (rows - 1) + 1 : stride,
            j : j + stride * (columns - 1) + 1 : stride,
        ]
        for i in range(size)
        for j in range(size)
    ]
    return ops.concatenate(shifted, axis=-1)


def _flatten(patches):
    """[B, H, W, D] as [B, H * W, D]."""
    _, height, width, depth = ops.shape(patches)
    return ops.reshape(patches, (-1, height * width, depth))


def _overlap_add(patches):
    """Adds 4 x 4 patches at stride 2, less the outermost ring.

    A patch is 2 x 2 blocks of 2 x 2 pixels, and neighbouring patches overlap in
    whole blocks: four shifted sums of blocks, then blocks laid out as pixels.

    Args:
        patches: Tensor `[B, H, W, 2, 2, 2, 2, C]`: block row, row in the block,
            block column, column in the block.

    Returns:
        Tensor `[B, 2 * H, 2 * W, C]`.
    """
    _, height, width, *_, channels = ops.shape(patches)
    blocks = 0.0
    for i in range(2):
        for j in range(2):
            shift = ((0, 0), (i, 1 - i), (j, 1 - j), (0, 0), (0, 0), (0, 0))
            blocks = blocks + ops.pad(patches[:, :, :, i, :, j], shift)
    pixels = ops.transpose(blocks, (0, 1, 3, 2, 4, 5))
    pixels = ops.reshape(pixels, (-1, 2 * height + 2, 2 * width + 2, channels))
    return pixels[:, 1:-1, 1:-1]
