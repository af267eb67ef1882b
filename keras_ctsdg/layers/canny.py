import math

import keras
from keras import ops

from keras_ctsdg.layers._hysteresis import erode, grow_within, neighbor_function
from keras_ctsdg.layers._shape_checks import (
    check_feature_maps,
    check_same_shape,
    is_tuple_of_shapes,
)

# Radius of the Gaussian window in units of sigma, the same as scikit-image's.
GAUSSIAN_EXTENT = 4.0


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
        candidates = ops.logical_and(candidates, erode(inner))
        seeds = ops.logical_and(candidates, magnitude >= self.high_threshold)
        edge = self.grow_edges(seeds, candidates)
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
        # The weight is 0 where no valid pixel is in reach, so never on an edge.
        return self._blur_both(gray) / ops.where(weight > 0, weight, 1.0)

    def grow_edges(self, seeds, candidates):
        """Return the candidates connected to a seed, in bool `[B, H, W]`."""
        return grow_within(seeds, candidates)

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


def _sobel(x):
    """Return Sobel's gradients downwards and to the right, borders being repeated."""
    neighbor = neighbor_function(x, mode="symmetric")
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
    neighbor = neighbor_function(magnitude)
    # Along the main diagonal, both components of the gradient have the same sign.
    is_main = ops.equal(down > 0, right > 0)
    down, right = ops.absolute(down), ops.absolute(right)
    is_vertical = ops.logical_or(
        down > right, ops.logical_and(ops.equal(down, right), ops.logical_not(is_main))
    )
    steeper = ops.maximum(down, right)
    weight = ops.minimum(down, right) / ops.where(steeper > 0, steeper, 1.0)

    def interpolated_neighbor(sign):
        vertical = ops.where(is_main, neighbor(sign, 0), neighbor(-sign, 0))
        straight = ops.where(is_vertical, vertical, neighbor(0, sign))
        diagonal = ops.where(is_main, neighbor(sign, sign), neighbor(-sign, sign))
        return diagonal * weight + straight * (1.0 - weight)

    return ops.logical_and(
        interpolated_neighbor(1) <= magnitude, interpolated_neighbor(-1) <= magnitude
    )
