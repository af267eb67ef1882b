import keras
from keras import ops

from keras_ctsdg._checks import check_choice
from keras_ctsdg.conventions import Upsampling


def resize_aligned(x, height, width):
    """Resize a feature map bilinearly, with its corner pixels kept in place.

    Output i of n is sampled at `i * (length - 1) / (n - 1)`. The resize is two small
    matrix products, whose weights are computed from integers to be exact.

    Args:
        x: Tensor `[B, H, W, C]`.
        height: Int, the height of the result.
        width: Int, the width of the result.

    Returns:
        Tensor `[B, height, width, C]` of the dtype of `x`.
    """
    _, old_height, old_width, _ = ops.shape(x)
    rows = ops.cast(_aligned_weights(old_height, height), x.dtype)
    columns = ops.cast(_aligned_weights(old_width, width), x.dtype)
    x = _blend_rows(rows, x, height)
    x = _blend_rows(columns, ops.transpose(x, (0, 2, 1, 3)), width)
    return ops.transpose(x, (0, 2, 1, 3))


def _blend_rows(weights, x, height):
    """Multiply weights `[height, H]` and the rows of `[B, H, W, C]`."""
    # As a plain matrix product: LiteRT's converter leaves an `einsum` without sizes.
    _, old_height, width, channels = ops.shape(x)
    x = ops.matmul(weights, ops.reshape(x, (-1, old_height, width * channels)))
    return ops.reshape(x, (-1, height, width, channels))


def _aligned_weights(old, new):
    """Return the interpolation matrix `[new, old]`; each row blends two neighbors."""
    steps = ops.maximum(ops.cast(new, "int32") - 1, 1)
    position = ops.arange(new, dtype="int32")[:, None] * (ops.cast(old, "int32") - 1)
    distance = ops.absolute(position - ops.arange(old, dtype="int32")[None] * steps)
    closeness = ops.cast(steps - distance, "float32") / ops.cast(steps, "float32")
    return ops.maximum(closeness, 0.0)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class BilinearUpSampling2D(keras.layers.Layer):
    """Bilinear upsampling by a factor of 2, with equal results on every backend.

    This does not use `keras.ops.image.resize`, whose compiled results have differed
    between backends.

    Args:
        alignment: `"half_pixel"` (pixel centers at half-integers and clamped borders,
            as in the authors' code) or `"align_corners"` (corner pixels kept in
            place, as in their MindSpore port). Defaults to `"half_pixel"`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor `[B, H, W, C]`.

    Returns:
        Tensor `[B, 2 * H, 2 * W, C]`, in the range of the input's values.

    Raises:
        ValueError: If `alignment` is none of the above.

    Example:

    >>> output = BilinearUpSampling2D()(np.ones((1, 8, 8, 3)))
    >>> tuple(output.shape)
    (1, 16, 16, 3)
    """

    def __init__(self, alignment="half_pixel", **kwargs):
        super().__init__(**kwargs)
        self.alignment = check_choice("alignment", alignment, Upsampling)

    def call(self, inputs):
        if self.alignment == "align_corners":
            _, height, width, _ = ops.shape(inputs)
            return resize_aligned(inputs, 2 * height, 2 * width)
        _, height, width, channels = ops.shape(inputs)
        x = _double(inputs, axis=1)
        x = ops.reshape(x, (-1, 2 * height, width, channels))
        x = _double(x, axis=2)
        return ops.reshape(x, (-1, 2 * height, 2 * width, channels))

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        height = None if height is None else 2 * height
        width = None if width is None else 2 * width
        return batch, height, width, channels

    def get_config(self):
        return {**super().get_config(), "alignment": self.alignment}


def _double(x, axis):
    """Sample a quarter pixel before and after each pixel; stack both on a new axis."""

    def part(start, stop):
        return x[(slice(None),) * axis + (slice(start, stop),)]

    previous = ops.concatenate([part(None, 1), part(None, -1)], axis=axis)
    following = ops.concatenate([part(1, None), part(-1, None)], axis=axis)
    near = 0.75 * x
    return ops.stack([near + 0.25 * previous, near + 0.25 * following], axis=axis + 1)
