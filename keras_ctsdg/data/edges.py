"""Grayscale images and Canny edges in NumPy, equal to scikit-image's."""

import threading
from functools import lru_cache

import numpy as np

from keras_ctsdg._checks import check_choice
from keras_ctsdg.conventions import (
    LUMINANCE_DENOMINATOR,
    LUMINANCE_WEIGHTS,
    Edges,
    image_to_levels,
)

# scikit-image's defaults; it keeps the low threshold in single precision.
LOW_THRESHOLD, HIGH_THRESHOLD = np.float64(np.float32(0.1)), 0.2
LUMINANCE = np.array(LUMINANCE_WEIGHTS) / LUMINANCE_DENOMINATOR


def gray_and_edge(image, edges="clean", sigma=2.0, mask=None):
    """Compute the structure stream's inputs: the grayscale image and its Canny edges.

    Args:
        image: Float array `[H, W, 3]` in [-1, 1].
        edges: `"clean"`, or `"wrapped"` for weights of the original
            implementations, which convert the image to bytes such that all values
            below mid-gray wrap around. Defaults to `"clean"`.
        sigma: Float, the standard deviation of Canny's Gaussian in pixels. Defaults
            to `2.0`.
        mask: Array `[H, W]` or `[H, W, 1]`, where 1 marks the hole of a damaged
            image: its pixels do not affect the edges, and no edge follows its
            boundary. Defaults to `None`, no hole.

    Returns:
        Tuple of two float32 arrays `[H, W, 1]`: gray in [0, 1] and edge, 0 or 1.

    Raises:
        ValueError: If `edges` is neither, or `image` or `mask` has another shape.

    Example:

    >>> gray, edge = keras_ctsdg.data.gray_and_edge(np.zeros((128, 128, 3)))
    >>> gray.shape, edge.shape
    ((128, 128, 1), (128, 128, 1))
    """
    check_choice("edges", edges, Edges)
    image = np.asarray(image, "float32")
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            f"`image` must be of shape [H, W, 3]. Received: image.shape={image.shape}"
        )
    if mask is not None:
        mask = np.asarray(mask)
        if mask.shape not in (image.shape[:2], (*image.shape[:2], 1)):
            raise ValueError(
                "`mask` must be of the image's size. Received: "
                f"mask.shape={mask.shape}, image.shape={image.shape}"
            )
        mask = mask.reshape(image.shape[:2]).astype(bool)
    if edges == Edges.CLEAN:
        levels = np.rint(image_to_levels(image))
    else:
        # By way of integers: processors cast negative floats to bytes differently.
        levels = (image * np.float32(255)).astype("int64") % 256
    gray = _to_grayscale(levels.astype("uint8"))
    edge = canny(gray, sigma, mask)
    return gray[..., None].astype("float32"), edge[..., None].astype("float32")


def _to_grayscale(levels):
    """Return `skimage.color.rgb2gray` of uint8 `[H, W, 3]` in this thread's buffer."""
    buffers = _thread_buffers(levels.shape[:2])
    np.multiply(levels, 1 / 255, out=buffers.colors)
    return np.matmul(buffers.colors, LUMINANCE, out=buffers.gray)


def canny(gray, sigma, mask=None):
    """Compute `skimage.feature.canny(gray, sigma, mask=~mask)` exactly, but faster.

    With it a data set yields about a third more images a second. Buffers are reused
    from image to image, and non-maximum suppression runs only where the gradient
    reaches the low threshold.

    Args:
        gray: Float64 array `[H, W]` in [0, 1].
        sigma: Float, the standard deviation of the Gaussian in pixels.
        mask: Bool array `[H, W]`, true in the hole. Its pixels do not affect the
            edges. (scikit-image's `mask` is true outside of it.) Defaults to `None`,
            no hole.

    Returns:
        Bool array `[H, W]`, false in the hole and next to it.

    Reference:
        - [Canny, 1986](https://doi.org/10.1109/TPAMI.1986.4767851)
    """
    from scipy import ndimage

    buffers = _thread_buffers(gray.shape)
    if mask is None:
        valid, weight = None, _full_weight(gray.shape, sigma)
    else:
        valid = ~mask
        weight = _gaussian_weight(valid.astype("float64"), sigma)
        gray = np.where(valid, gray, 0.0)
        # Gradients next to the hole depend on values that were blurred into it.
        valid = ndimage.binary_erosion(valid, np.ones((3, 3), bool))
    ndimage.gaussian_filter(gray, sigma, mode="constant", output=buffers.smooth)
    buffers.smooth /= weight
    magnitude, down, right = buffers.gradient()
    thin = _suppress_non_maxima(magnitude, down, right, valid)
    edge = np.zeros(gray.shape, bool)
    edge.ravel()[thin] = True
    # Hysteresis keeps connected edges with a pixel above the high threshold.
    labels, count = ndimage.label(edge, np.ones((3, 3), bool))
    label = labels.ravel()[thin]
    is_kept = np.zeros(count + 1, bool)
    is_kept[label[magnitude.ravel()[thin] >= HIGH_THRESHOLD]] = True
    edge.ravel()[thin] = is_kept[label]
    return edge


@lru_cache(maxsize=8)
def _full_weight(shape, sigma):
    return _gaussian_weight(np.ones(shape), sigma)


def _gaussian_weight(valid, sigma):
    """Return the part of the Gaussian around each pixel that covers valid pixels."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(valid, sigma, mode="constant")
    return weight + np.finfo("float64").eps


class _Buffers:
    """Arrays for images of one size, because allocation costs more than the sums."""

    def __init__(self, shape):
        height, width = shape
        self.colors = np.empty((*shape, 3))
        self.gray = np.empty(shape)
        self.padded = np.empty((height + 2, width + 2))
        self.smooth = self.padded[1:-1, 1:-1]
        self.rows = np.empty((height, width + 2))
        self.columns = np.empty((height + 2, width))
        self.down, self.right, self.magnitude, self.term = np.empty((4, *shape))

    def gradient(self):
        """Return the Sobel gradient of `smooth`, with its border repeated.

        Returns:
            Tuple of its magnitude and its components down and to the right, all
            `[H, W]`.
        """
        x, rows, columns = self.padded, self.rows, self.columns
        x[0], x[-1] = x[1], x[-2]
        x[:, 0], x[:, -1] = x[:, 1], x[:, -2]
        np.subtract(x[2:], x[:-2], out=rows)
        np.add(rows[:, :-2], rows[:, 2:], out=self.down)
        self.down += np.multiply(rows[:, 1:-1], 2, out=self.term)
        np.subtract(x[:, 2:], x[:, :-2], out=columns)
        np.add(columns[:-2], columns[2:], out=self.right)
        self.right += np.multiply(columns[1:-1], 2, out=self.term)
        np.multiply(self.down, self.down, out=self.magnitude)
        self.magnitude += np.multiply(self.right, self.right, out=self.term)
        np.sqrt(self.magnitude, out=self.magnitude)
        return self.magnitude, self.down, self.right


_local = threading.local()


def _thread_buffers(shape):
    """Return the buffers of this thread, which are of the size it used last."""
    if getattr(_local, "shape", None) != shape:
        _local.shape, _local.buffers = shape, _Buffers(shape)
    return _local.buffers


def _suppress_non_maxima(magnitude, down, right, valid):
    """Return the pixels whose gradient is a maximum along its own direction.

    The magnitude on either side is interpolated between a straight and a diagonal
    neighbor.

    Args:
        magnitude, down, right: Float64 arrays `[H, W]`, the gradient.
        valid: Bool array `[H, W]`, true where edges may be, or `None` for everywhere.

    Returns:
        Int array of indices into the flattened image.
    """
    height, width = magnitude.shape
    is_candidate = np.zeros(magnitude.shape, bool)
    is_candidate[1:-1, 1:-1] = magnitude[1:-1, 1:-1] >= LOW_THRESHOLD
    if valid is not None:
        is_candidate &= valid
    index = np.flatnonzero(is_candidate)
    values = magnitude.ravel()
    center, down, right = (x.ravel()[index] for x in (magnitude, down, right))
    is_falling = (down > 0) == (right > 0)
    down, right = np.abs(down), np.abs(right)
    is_vertical = (down > right) | ((down == right) & ~is_falling)
    straight = np.where(is_vertical, np.where(is_falling, width, -width), 1)
    diagonal = np.where(is_falling, width + 1, 1 - width)
    weight = np.where(is_vertical, right, down) / np.where(is_vertical, down, right)
    rest = 1.0 - weight
    ahead = values[index + diagonal] * weight + values[index + straight] * rest
    behind = values[index - diagonal] * weight + values[index - straight] * rest
    return index[(ahead <= center) & (behind <= center)]
