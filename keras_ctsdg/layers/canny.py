import math

import keras
from keras import ops

from keras_ctsdg.layers._shape_checks import check_feature_maps, check_same_shape

# The Gaussian ends at so many sigmas, as scikit-image's does.
TRUNCATE = 4.0
# Pixels in a word of a packed picture. Of int32, which shifts its sign along.
BITS = 16
# Edges grow by so many pixels from one look to the next whether they still do: on a
# GPU each look waits for all that was begun.
STEPS = 4


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class CannyEdge(keras.layers.Layer):
    """Canny's edges of gray pictures, those of `skimage.feature.canny`, on any device.

    Computed in float32 under every dtype policy, where scikit-image takes float64: of
    photographs all but a few pixels in a million agree. In drawings whose edges lie
    halfway between two pixels, such as a chessboard, rounding alone decides in both
    which of the two is the edge. No gradient flows through it.

    Args:
        sigma: Float, the width of the Gaussian in pixels. Defaults to `2.0`.
        low_threshold: Float, the gradient from which a pixel may be part of an edge.
            Defaults to `0.1`.
        high_threshold: Float, the gradient that an edge must reach somewhere. Defaults
            to `0.2`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor `gray` `[B, H, W, 1]` in [0, 1], or tuple `(gray, mask)` of two
            of that shape. Where the mask is not 0 is the hole of a damaged picture:
            nothing in it has a part in the edges, and none follows its rim.

    Returns:
        Tensor `[B, H, W, 1]`: 1 on edges, 0 elsewhere; in the hole and beside it 0.

    Raises:
        ValueError: If an argument or a shape breaks a rule above.

    Example:

    >>> gray = np.zeros((1, 128, 128, 1), "float32")
    >>> gray[:, :, 64:] = 1
    >>> CannyEdge(sigma=2.0)(gray).shape
    (1, 128, 128, 1)

    Reference:
        - [Canny, 1986](https://doi.org/10.1109/TPAMI.1986.4767851)
    """

    def __init__(self, sigma=2.0, low_threshold=0.1, high_threshold=0.2, **kwargs):
        # Halves of bytes are too coarse for a gradient: inputs stay as they come.
        super().__init__(**{"autocast": False, **kwargs})
        if not 0 < sigma < math.inf:
            raise ValueError(f"`sigma` must be positive. Received: sigma={sigma}")
        if not 0 <= low_threshold <= high_threshold:
            raise ValueError(
                "`low_threshold` must be from 0 to `high_threshold`. Received: "
                f"low_threshold={low_threshold}, high_threshold={high_threshold}"
            )
        self.sigma = sigma
        self.low_threshold = low_threshold
        self.high_threshold = high_threshold

    def build(self, input_shape):
        self._check(input_shape)

    def call(self, inputs):
        is_masked = isinstance(inputs, (tuple, list))
        gray, hole = inputs if is_masked else (inputs, None)
        gray = ops.stop_gradient(ops.cast(gray, "float32"))[..., 0]
        valid = None
        if is_masked:
            valid = ops.logical_not(ops.cast(hole, "bool"))[..., 0]
        down, right = _gradient(self._smooth(gray, valid))
        steepness = ops.sqrt(ops.square(down) + ops.square(right))
        thin = ops.logical_and(
            _is_ridge(steepness, down, right),
            ops.logical_and(steepness >= self.low_threshold, steepness > 0),
        )
        # A gradient at the border or beside the hole is made of what lies beyond.
        inner = ops.ones_like(thin) if valid is None else valid
        thin = ops.logical_and(thin, _eroded(inner))
        start = ops.logical_and(thin, steepness >= self.high_threshold)
        edge = _connected(start, thin)
        return ops.cast(edge[..., None], self.compute_dtype)

    def _smooth(self, gray, valid):
        """Gaussian means of the valid pixels, `[B, H, W]`."""
        if valid is None:
            ones = ops.ones_like(gray[:1])
            rows = _blur(ones[:, :, :1], self.sigma, axis=1)
            within = rows * _blur(ones[:, :1], self.sigma, axis=2)
        else:
            gray = ops.where(valid, gray, 0.0)
            within = self._blur_both(ops.cast(valid, "float32"))
        # Where no pixel within reach is valid, none is an edge.
        return self._blur_both(gray) / ops.maximum(within, 1e-15)

    def _blur_both(self, x):
        return _blur(_blur(x, self.sigma, axis=1), self.sigma, axis=2)

    def _check(self, input_shape):
        """The shape of gray, checked with the mask's if there is one."""
        if input_shape and isinstance(input_shape[0], (tuple, list)):
            check_same_shape(self, input_shape, ("gray", "mask"))
            input_shape = input_shape[0]
        else:
            check_feature_maps(self, (input_shape,), ("gray",))
        if input_shape[-1] != 1:
            raise ValueError(
                "`CannyEdge` expects gray pictures [B, H, W, 1]. Received: "
                f"gray.shape={input_shape}"
            )
        return tuple(input_shape)

    def compute_output_shape(self, input_shape):
        return self._check(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "sigma": self.sigma,
            "low_threshold": self.low_threshold,
            "high_threshold": self.high_threshold,
        }


# === Gradient: float32 [B, H, W] ===


def _blur(x, sigma, axis):
    """A Gaussian along an axis; beyond the border is 0.

    Sums of shifted pictures, as devices round the factors of their convolutions.
    """
    radius = int(TRUNCATE * sigma + 0.5)
    weights = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    margins = [(0, 0)] * 3
    margins[axis] = (radius, radius)
    padded = ops.pad(x, margins)

    def moved(by):
        start, stop = radius + by, (by - radius) or None
        return padded[(slice(None),) * axis + (slice(start, stop),)]

    # From the far ends on, where numbers are small.
    result = 0.0
    for i in range(radius, 0, -1):
        result += (weights[i] / total) * (moved(-i) + moved(i))
    return result + (weights[0] / total) * x


def _neighbours(x, mode="constant"):
    """Function of (rows, columns) in -1, 0, 1: the picture moved so that each pixel
    holds its neighbour's value."""
    padded = ops.pad(x, ((0, 0), (1, 1), (1, 1)), mode=mode)

    def at(down, right):
        rows, columns = (slice(1 + by, (by - 1) or None) for by in (down, right))
        return padded[:, rows, columns]

    return at


def _gradient(x):
    """Sobel's, downwards and to the right; borders are repeated."""
    at = _neighbours(x, mode="symmetric")
    diagonal, other = at(1, 1) - at(-1, -1), at(1, -1) - at(-1, 1)
    down = diagonal + other + 2.0 * (at(1, 0) - at(-1, 0))
    right = diagonal - other + 2.0 * (at(0, 1) - at(0, -1))
    return down, right


def _is_ridge(steepness, down, right):
    """Whether a pixel is as steep as both neighbours along its gradient.

    A neighbour lies between two pixels, one straight and one diagonal.
    """
    at = _neighbours(steepness)
    falling = ops.equal(down > 0, right > 0)
    down, right = ops.absolute(down), ops.absolute(right)
    is_vertical = ops.logical_or(
        down > right, ops.logical_and(ops.equal(down, right), ops.logical_not(falling))
    )
    weight = ops.minimum(down, right) / ops.maximum(ops.maximum(down, right), 1e-30)

    def along(way):
        """The value ahead (1) or behind (-1)."""
        vertical = ops.where(falling, at(way, 0), at(-way, 0))
        straight = ops.where(is_vertical, vertical, at(0, way))
        diagonal = ops.where(falling, at(way, way), at(-way, way))
        return diagonal * weight + straight * (1.0 - weight)

    return ops.logical_and(along(1) <= steepness, along(-1) <= steepness)


# === Pixels that are or are not: bool [B, H, W] ===


def _eroded(x):
    """Pixels whose eight neighbours are true too; none at the border."""
    at = _neighbours(x)
    rows = ops.logical_and(ops.logical_and(at(-1, 0), x), at(1, 0))
    at = _neighbours(rows)
    return ops.logical_and(ops.logical_and(at(0, -1), rows), at(0, 1))


def _connected(start, allowed):
    """Allowed pixels that are joined to one of `start` by allowed ones.

    They grow by a pixel to all sides until they don't. With the pixels of a row
    packed into words that is several times faster than in a picture.
    """
    width = ops.shape(allowed)[2]
    allowed = _packed(allowed)

    def grow(words, _):
        before = words
        for _ in range(STEPS):
            words = ops.bitwise_and(_dilated(words), allowed)
        return words, ops.any(ops.not_equal(words, before))

    words, _ = ops.while_loop(
        lambda _, is_growing: is_growing,
        grow,
        (_packed(start), ops.convert_to_tensor(True)),
    )
    return _unpacked(words, width)


def _dilated(words):
    """Words grown to all eight sides, with bits too many above the lowest `BITS`."""
    padded = ops.pad(words, ((0, 0), (0, 0), (1, 1)))
    parts = (
        ops.bitwise_left_shift(words, 1),
        ops.bitwise_right_shift(words, 1),
        # The last pixel of the word before, and the first of the next.
        ops.bitwise_right_shift(padded[:, :, :-2], BITS - 1),
        ops.bitwise_left_shift(padded[:, :, 2:], BITS - 1),
    )
    for part in parts:
        words = ops.bitwise_or(words, part)
    padded = ops.pad(words, ((0, 0), (1, 1), (0, 0)))
    rows = ops.bitwise_or(padded[:, :-2], padded[:, 2:])
    return ops.bitwise_or(words, rows)


def _packed(x):
    """Pixels of a row as bits, int32 `[B, H, words]`; the first is the lowest."""
    batch, height, width = ops.shape(x)
    count = (width + BITS - 1) // BITS
    x = ops.pad(ops.cast(x, "int32"), ((0, 0), (0, 0), (0, BITS - 1)))
    x = ops.reshape(x[:, :, : count * BITS], (batch, height, count, BITS))
    return ops.sum(ops.bitwise_left_shift(x, _places()), axis=-1)


def _unpacked(words, width):
    batch, height, count = ops.shape(words)
    bits = ops.bitwise_right_shift(words[..., None], _places())
    bits = ops.reshape(ops.bitwise_and(bits, 1), (batch, height, count * BITS))
    return ops.cast(bits[:, :, :width], "bool")


def _places():
    return ops.arange(BITS, dtype="int32")
