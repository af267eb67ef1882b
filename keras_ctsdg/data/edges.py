import threading
from functools import lru_cache

import numpy as np

from keras_ctsdg.data.checks import check_choice

EDGES = ("clean", "wrapped")
# scikit-image's thresholds; it holds the lower one in single precision.
LOW, HIGH = np.float64(np.float32(0.1)), 0.2
# ITU-R BT.709, as scikit-image has it.
LUMINANCE = np.array([0.2125, 0.7154, 0.0721])


def gray_and_edge(image, edges="clean", sigma=2.0):
    """The gray picture and its Canny edges, the structure stream's inputs.

    Args:
        image: Float array `[H, W, 3]` in [-1, 1].
        edges: `"clean"`, or `"wrapped"` for weights of the original
            implementations, which turn the picture into bytes so that all that is
            darker than mid-gray wraps around. Defaults to `"clean"`.
        sigma: Float, the width of Canny's Gaussian in pixels. Defaults to `2.0`.

    Returns:
        Tuple of two float32 arrays `[H, W, 1]`: gray in [0, 1] and edge, 0 or 1.

    Raises:
        ValueError: If `edges` is neither, or `image` is not of that shape.

    Example:

    >>> gray, edge = gray_and_edge(np.zeros((128, 128, 3)))
    >>> gray.shape, edge.shape
    ((128, 128, 1), (128, 128, 1))
    """
    check_choice("edges", edges, EDGES)
    image = np.asarray(image, "float32")
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            f"`image` must be of shape [H, W, 3]. Received: image.shape={image.shape}"
        )
    if edges == "clean":
        levels = np.rint((image + 1) * 127.5)
    else:
        # By way of whole numbers: what a negative float makes as a byte depends
        # on the processor.
        levels = (image * np.float32(255)).astype("int64") % 256
    gray = _gray(levels.astype("uint8"))
    edge = canny(gray, sigma)
    return gray[..., None].astype("float32"), edge[..., None].astype("float32")


def _gray(levels):
    """`skimage.color.rgb2gray` of uint8 `[H, W, 3]`, in this thread's memory."""
    scratch = _scratch_of(levels.shape[:2])
    np.multiply(levels, 1 / 255, out=scratch.colors)
    return np.matmul(scratch.colors, LUMINANCE, out=scratch.gray)


def canny(gray, sigma):
    """`skimage.feature.canny(gray, sigma)` to the last bit, in less time.

    What depends on the size alone is kept from picture to picture, and thin edges
    are sought only where the gradient is steep enough for one.

    Args:
        gray: Float64 array `[H, W]` in [0, 1].
        sigma: Float, the width of the Gaussian in pixels.

    Returns:
        Bool array `[H, W]`.

    Reference:
        - [Canny, 1986](https://doi.org/10.1109/TPAMI.1986.4767851)
    """
    from scipy import ndimage

    scratch = _scratch_of(gray.shape)
    ndimage.gaussian_filter(gray, sigma, mode="constant", output=scratch.smooth)
    scratch.smooth /= _gaussian_within(gray.shape, sigma)
    steepness, down, right = scratch.gradient()
    thin = _ridge(steepness, down, right)
    edge = np.zeros(gray.shape, bool)
    edge.ravel()[thin] = True
    # An edge is kept where a part of it is above the higher threshold.
    pieces, count = ndimage.label(edge, np.ones((3, 3), bool))
    piece = pieces.ravel()[thin]
    kept = np.zeros(count + 1, bool)
    kept[piece[steepness.ravel()[thin] >= HIGH]] = True
    edge.ravel()[thin] = kept[piece]
    return edge


@lru_cache(maxsize=8)
def _gaussian_within(shape, sigma):
    """The part of the Gaussian around each pixel that lies within the picture."""
    from scipy import ndimage

    within = ndimage.gaussian_filter(np.ones(shape), sigma, mode="constant")
    return within + np.finfo("float64").eps


class _Scratch:
    """Memory for pictures of one size: fresh pages cost more than the sums in them."""

    def __init__(self, shape):
        height, width = shape
        self.colors = np.empty((*shape, 3))
        self.gray = np.empty(shape)
        self.padded = np.empty((height + 2, width + 2))
        self.smooth = self.padded[1:-1, 1:-1]
        self.rows = np.empty((height, width + 2))
        self.columns = np.empty((height + 2, width))
        self.down, self.right, self.steepness, self.other = np.empty((4, *shape))

    def gradient(self):
        """Steepness and Sobel's gradients of `smooth`, borders repeated."""
        x, rows, columns = self.padded, self.rows, self.columns
        x[0], x[-1] = x[1], x[-2]
        x[:, 0], x[:, -1] = x[:, 1], x[:, -2]
        np.subtract(x[2:], x[:-2], out=rows)
        np.add(rows[:, :-2], rows[:, 2:], out=self.down)
        self.down += np.multiply(rows[:, 1:-1], 2, out=self.other)
        np.subtract(x[:, 2:], x[:, :-2], out=columns)
        np.add(columns[:-2], columns[2:], out=self.right)
        self.right += np.multiply(columns[1:-1], 2, out=self.other)
        np.multiply(self.down, self.down, out=self.steepness)
        self.steepness += np.multiply(self.right, self.right, out=self.other)
        np.sqrt(self.steepness, out=self.steepness)
        return self.steepness, self.down, self.right


_threads = threading.local()


def _scratch_of(shape):
    """This thread's, of the size it needed last."""
    if getattr(_threads, "shape", None) != shape:
        _threads.shape, _threads.scratch = shape, _Scratch(shape)
    return _threads.scratch


def _ridge(steepness, down, right):
    """Flat places that are as steep as both neighbours along the gradient.

    A neighbour lies between two pixels, one straight and one diagonal.
    """
    height, width = steepness.shape
    inner = np.zeros(steepness.shape, bool)
    inner[1:-1, 1:-1] = steepness[1:-1, 1:-1] >= LOW
    place = np.flatnonzero(inner)
    value = steepness.ravel()
    here, down, right = (x.ravel()[place] for x in (steepness, down, right))
    falling = (down > 0) == (right > 0)
    down, right = np.abs(down), np.abs(right)
    is_vertical = (down > right) | ((down == right) & ~falling)
    straight = np.where(is_vertical, np.where(falling, width, -width), 1)
    diagonal = np.where(falling, width + 1, 1 - width)
    weight = np.where(is_vertical, right, down) / np.where(is_vertical, down, right)
    rest = 1.0 - weight
    ahead = value[place + diagonal] * weight + value[place + straight] * rest
    behind = value[place - diagonal] * weight + value[place - straight] * rest
    return place[(ahead <= here) & (behind <= here)]
