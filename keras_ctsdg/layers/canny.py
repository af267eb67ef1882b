import math

import keras
from keras import ops

from keras_ctsdg.layers._shape_checks import (
    check_feature_maps,
    check_same_shape,
    is_tuple_of_shapes,
)

# Radius of the Gaussian window in units of sigma, the same as scikit-image's.
GAUSSIAN_EXTENT = 4.0
# Half of an int32: shifted by up to 15 bits, a word never reaches the sign bit.
PIXELS_PER_WORD = 16
# On a GPU, each check for convergence waits for all the work before it.
DILATIONS_PER_CHECK = 4


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class CannyEdge(keras.layers.Layer):
    """Canny edges of grayscale images, equal to `skimage.feature.canny`, on any device.

    Edges are computed in float32 under every dtype policy, while scikit-image uses
    float64: on photographs, all but a few pixels in a million agree. In drawings whose
    edges lie halfway between two pixels, such as a chessboard, rounding alone decides
    in both implementations which of the two pixels is the edge. No gradient flows
    through this layer.

    Args:
        sigma: Float, the standard deviation of the Gaussian in pixels. Must be
            positive. Defaults to `2.0`.
        low_threshold: Float, the magnitude of Sobel's gradient, which is 8 times the
            slope per pixel, from which a pixel may be part of an edge. Must not be
            negative. Defaults to `0.1`.
        high_threshold: Float, the magnitude that every edge must reach somewhere.
            Must be at least `low_threshold`. Defaults to `0.2`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor `gray` `[B, H, W, 1]` in [0, 1], or tuple `(gray, mask)` of two
            tensors of that shape. The hole is where the mask is not 0: gray values in
            the hole do not influence the result, and its outline is no edge.

    Returns:
        Tensor `[B, H, W, 1]` of the compute dtype: 1 on edges and 0 elsewhere, which
        includes the hole and the pixels next to it.

    Raises:
        ValueError: If `sigma` is not positive and finite, if the thresholds are
            negative or out of order, or if an input is not `[B, H, W, 1]`.

    Example:

    >>> gray = np.zeros((1, 128, 128, 1), "float32")
    >>> gray[:, :, 64:] = 1
    >>> edge = CannyEdge(sigma=2.0)(gray)
    >>> tuple(edge.shape)
    (1, 128, 128, 1)

    Reference:
        - [Canny, 1986](https://doi.org/10.1109/TPAMI.1986.4767851)
    """

    def __init__(self, sigma=2.0, low_threshold=0.1, high_threshold=0.2, **kwargs):
        # Without autocast, because half precision is too coarse for gradients.
        super().__init__(**{"autocast": False, **kwargs})
        if not 0 < sigma < math.inf:
            raise ValueError(
                f"`sigma` must be positive and finite. Received: sigma={sigma}"
            )
        if not 0 <= low_threshold <= high_threshold:
            raise ValueError(
                "`low_threshold` must be from 0 to `high_threshold`. Received: "
                f"low_threshold={low_threshold}, high_threshold={high_threshold}"
            )
        self.sigma = sigma
        self.low_threshold = low_threshold
        self.high_threshold = high_threshold

    def build(self, input_shape):
        self._validate_shape(input_shape)

    def call(self, inputs):
        is_masked = isinstance(inputs, (tuple, list))
        gray, mask = inputs if is_masked else (inputs, None)
        gray = ops.stop_gradient(ops.cast(gray, "float32"))[..., 0]
        valid = None
        if is_masked:
            valid = ops.logical_not(ops.cast(mask, "bool"))[..., 0]
        down, right = _sobel(self._smooth(gray, valid))
        magnitude = ops.sqrt(ops.square(down) + ops.square(right))
        candidates = ops.logical_and(
            _is_ridge(magnitude, down, right),
            ops.logical_and(magnitude >= self.low_threshold, magnitude > 0),
        )
        # Gradients next to the border or the hole depend on what is beyond it.
        inner = ops.ones_like(candidates) if valid is None else valid
        candidates = ops.logical_and(candidates, _erode(inner))
        seeds = ops.logical_and(candidates, magnitude >= self.high_threshold)
        edge = _grow_within(seeds, candidates)
        return ops.cast(edge[..., None], self.compute_dtype)

    def _smooth(self, gray, valid):
        """Return Gaussian means of the valid pixels, `[B, H, W]`."""
        if valid is None:
            ones = ops.ones_like(gray[:1])
            rows = _blur(ones[:, :, :1], self.sigma, axis=1)
            weight = rows * _blur(ones[:, :1], self.sigma, axis=2)
        else:
            gray = ops.where(valid, gray, 0.0)
            weight = self._blur_both(ops.cast(valid, "float32"))
        # The floor only matters where no valid pixel is in reach, so never on an edge.
        return self._blur_both(gray) / ops.maximum(weight, 1e-15)

    def _blur_both(self, x):
        return _blur(_blur(x, self.sigma, axis=1), self.sigma, axis=2)

    def _validate_shape(self, input_shape):
        """Check the input shapes and return that of `gray`."""
        if input_shape and is_tuple_of_shapes(input_shape):
            check_same_shape(self, input_shape, ("gray", "mask"))
            input_shape = input_shape[0]
        else:
            check_feature_maps(self, (input_shape,), ("gray",))
        if input_shape[-1] != 1:
            raise ValueError(
                "`CannyEdge` expects grayscale images [B, H, W, 1]. Received: "
                f"gray.shape={input_shape}"
            )
        return tuple(input_shape)

    def compute_output_shape(self, input_shape):
        return self._validate_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "sigma": self.sigma,
            "low_threshold": self.low_threshold,
            "high_threshold": self.high_threshold,
        }


# === Gradient: float32 [B, H, W] ===


def _blur(x, sigma, axis):
    """Blur along an axis with a Gaussian; pixels beyond the border count as 0.

    This sums shifted images, because some devices round the operands of convolutions.
    """
    radius = int(GAUSSIAN_EXTENT * sigma + 0.5)
    weights = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    margins = [(0, 0)] * 3
    margins[axis] = (radius, radius)
    padded = ops.pad(x, margins)

    def shifted(offset):
        start, stop = radius + offset, (offset - radius) or None
        return padded[(slice(None),) * axis + (slice(start, stop),)]

    # Small terms come first, which keeps the rounding error small.
    result = 0.0
    for i in range(radius, 0, -1):
        result += (weights[i] / total) * (shifted(-i) + shifted(i))
    return result + (weights[0] / total) * x


def _neighbor_function(x, mode="constant"):
    """Return a function that looks up a neighbor of every pixel.

    Args:
        x: Tensor `[B, H, W]`.
        mode: Str, how `ops.pad` extends the border.

    Returns:
        Function of the neighbor's offsets down and to the right, each -1, 0 or 1. It
        returns a tensor like `x` that holds that neighbor's value at every pixel.
    """
    padded = ops.pad(x, ((0, 0), (1, 1), (1, 1)), mode=mode)

    def neighbor(down, right):
        rows, columns = (slice(1 + i, (i - 1) or None) for i in (down, right))
        return padded[:, rows, columns]

    return neighbor


def _sobel(x):
    """Return Sobel's gradients downwards and to the right, borders being repeated."""
    neighbor = _neighbor_function(x, mode="symmetric")
    main = neighbor(1, 1) - neighbor(-1, -1)
    anti = neighbor(1, -1) - neighbor(-1, 1)
    down = main + anti + 2.0 * (neighbor(1, 0) - neighbor(-1, 0))
    right = main - anti + 2.0 * (neighbor(0, 1) - neighbor(0, -1))
    return down, right


def _is_ridge(magnitude, down, right):
    """Return where the magnitude is a maximum along the direction of the gradient.

    The neighbors in that direction lie between two pixels, a straight and a diagonal
    one, and are interpolated.
    """
    neighbor = _neighbor_function(magnitude)
    # Along the main diagonal, both components of the gradient have the same sign.
    is_main = ops.equal(down > 0, right > 0)
    down, right = ops.absolute(down), ops.absolute(right)
    is_vertical = ops.logical_or(
        down > right, ops.logical_and(ops.equal(down, right), ops.logical_not(is_main))
    )
    weight = ops.minimum(down, right) / ops.maximum(ops.maximum(down, right), 1e-30)

    def interpolated_neighbor(sign):
        vertical = ops.where(is_main, neighbor(sign, 0), neighbor(-sign, 0))
        straight = ops.where(is_vertical, vertical, neighbor(0, sign))
        diagonal = ops.where(is_main, neighbor(sign, sign), neighbor(-sign, sign))
        return diagonal * weight + straight * (1.0 - weight)

    return ops.logical_and(
        interpolated_neighbor(1) <= magnitude, interpolated_neighbor(-1) <= magnitude
    )


# === Binary images: bool [B, H, W] ===


def _erode(x):
    """Return pixels whose eight neighbors are all true, which excludes the border."""
    neighbor = _neighbor_function(x)
    rows = ops.logical_and(ops.logical_and(neighbor(-1, 0), x), neighbor(1, 0))
    neighbor = _neighbor_function(rows)
    return ops.logical_and(ops.logical_and(neighbor(0, -1), rows), neighbor(0, 1))


def _grow_within(seeds, allowed):
    """Return the allowed pixels that allowed pixels connect to one of the seeds.

    The seeds are dilated until nothing changes. This is several times faster on words
    that hold several pixels of a row than on single pixels.
    """
    width = ops.shape(allowed)[2]
    allowed = _pack_bits(allowed)

    def grow(words, _):
        before = words
        for _ in range(DILATIONS_PER_CHECK):
            words = ops.bitwise_and(_dilate(words), allowed)
        return words, ops.any(ops.not_equal(words, before))

    words, _ = ops.while_loop(
        lambda _, has_grown: has_grown,
        grow,
        (_pack_bits(seeds), ops.convert_to_tensor(True)),
    )
    return _unpack_bits(words, width)


def _dilate(words):
    """Grow packed pixels in all eight directions; bits beyond the word may be set."""
    padded = ops.pad(words, ((0, 0), (0, 0), (1, 1)))
    horizontal = (
        ops.bitwise_left_shift(words, 1),
        ops.bitwise_right_shift(words, 1),
        # The last pixel of the previous word and the first pixel of the next word.
        ops.bitwise_right_shift(padded[:, :, :-2], PIXELS_PER_WORD - 1),
        ops.bitwise_left_shift(padded[:, :, 2:], PIXELS_PER_WORD - 1),
    )
    for neighbors in horizontal:
        words = ops.bitwise_or(words, neighbors)
    padded = ops.pad(words, ((0, 0), (1, 1), (0, 0)))
    vertical = ops.bitwise_or(padded[:, :-2], padded[:, 2:])
    return ops.bitwise_or(words, vertical)


def _pack_bits(x):
    """Pack the pixels of rows into int32 `[B, H, words]`, first pixel lowest."""
    batch, height, width = ops.shape(x)
    count = (width + PIXELS_PER_WORD - 1) // PIXELS_PER_WORD
    x = ops.pad(ops.cast(x, "int32"), ((0, 0), (0, 0), (0, PIXELS_PER_WORD - 1)))
    x = x[:, :, : count * PIXELS_PER_WORD]
    x = ops.reshape(x, (batch, height, count, PIXELS_PER_WORD))
    return ops.sum(ops.bitwise_left_shift(x, _bit_positions()), axis=-1)


def _unpack_bits(words, width):
    batch, height, count = ops.shape(words)
    bits = ops.bitwise_right_shift(words[..., None], _bit_positions())
    bits = ops.bitwise_and(bits, 1)
    bits = ops.reshape(bits, (batch, height, count * PIXELS_PER_WORD))
    return ops.cast(bits[:, :, :width], "bool")


def _bit_positions():
    return ops.arange(PIXELS_PER_WORD, dtype="int32")
