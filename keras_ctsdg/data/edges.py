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

# scikit-image's thresholds; it holds the lower one in single precision.
LOW, HIGH = np.float64(np.float32(0.1)), 0.2
LUMINANCE = np.array(LUMINANCE_WEIGHTS) / LUMINANCE_DENOMINATOR


def gray_and_edge(image, edges="clean", sigma=2.0, mask=None):
    """The gray picture and its Canny edges, the structure stream's inputs.

    Args:
        image: Float array `[H, W, 3]` in [-1, 1].
        edges: `"clean"`, or `"wrapped"` for weights of the original
            implementations, which turn the picture into bytes so that all that is
            darker than mid-gray wraps around. Defaults to `"clean"`.
        sigma: Float, the width of Canny's Gaussian in pixels. Defaults to `2.0`.
        mask: Array `[H, W]` or `[H, W, 1]`, where 1 marks the hole of a damaged
            picture: nothing in it has a part in the edges, and none follows its
            rim. Defaults to `None`, a whole picture.

    Returns:
        Tuple of two float32 arrays `[H, W, 1]`: gray in [0, 1] and edge, 0 or 1.

    Raises:
        ValueError: If `edges` is neither, `image` is not of that shape, or `mask`
            is of another size.

    Example:

    >>> gray, edge = gray_and_edge(np.zeros((128, 128, 3)))
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
                "`mask` must be of the picture's size. Received: "
                f"mask.shape={mask.shape}, image.shape={image.shape}"
            )
        mask = mask.reshape(image.shape[:2]).astype(bool)
    if edges == Edges.CLEAN:
        levels = np.rint(image_to_levels(image))
    else:
        # By way of whole numbers: what a negative float makes as a byte depends
        # on the processor.
        levels = (image * np.float32(255)).astype("int64") % 256
    gray = _gray(levels.astype("uint8"))
    edge = canny(gray, sigma, mask)
    return gray[..., None].astype("float32"), edge[..., None].astype("float32")


def _gray(levels):
    """`skimage.color.rgb2gray` of uint8 `[H, W, 3]`, in this thread's memory."""
    scratch = _scratch_of(levels.shape[:2])
    np.multiply(levels, 1 / 255, out=scratch.colors)
    return np.matmul(scratch.colors, LUMINANCE, out=scratch.gray)


def canny(gray, sigma, mask=None):
    """`skimage.feature.canny(gray, sigma, mask=~mask)` to the last bit, faster.

    What depends on the size alone is kept from picture to picture, and thin edges
    are sought only where the gradient is steep enough for one.

    Args:
        gray: Float64 array `[H, W]` in [0, 1].
        sigma: Float, the width of the Gaussian in pixels.
        mask: Bool array `[H, W]`, true in a hole, which takes no part. Defaults to
            `None`, no hole. (scikit-image's `mask` is true everywhere else.)

    Returns:
        Bool array `[H, W]`, false in the hole and beside it.

    Reference:
        - [Canny, 1986](https://doi.org/10.1109/TPAMI.1986.4767851)
    """
    from scipy import ndimage

    scratch = _scratch_of(gray.shape)
    if mask is None:
        valid, within = None, _gaussian_within(gray.shape, sigma)
    else:
        valid = ~mask
        within = _gaussian_of(valid.astype("float64"), sigma)
        gray = np.where(valid, gray, 0.0)
        # A gradient beside the hole is made of what the blur left in it.
        valid = ndimage.binary_erosion(valid, np.ones((3, 3), bool))
    ndimage.gaussian_filter(gray, sigma, mode="constant", output=scratch.smooth)
    scratch.smooth /= within
    steepness, down, right = scratch.gradient()
    thin = _ridge(steepness, down, right, valid)
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
    return _gaussian_of(np.ones(shape), sigma)


def _gaussian_of(valid, sigma):
    """The part of the Gaussian around each pixel that lies on valid ones."""
    from scipy import ndimage

    within = ndimage.gaussian_filter(valid, sigma, mode="constant")
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


def _ridge(steepness, down, right, valid):
    """Flat places that are as steep as both neighbours along the gradient.

    A neighbour lies between two pixels, one straight and one diagonal. `valid`
    says where a place may be; `None` is everywhere.
    """
    height, width = steepness.shape
    inner = np.zeros(steepness.shape, bool)
    inner[1:-1, 1:-1] = steepness[1:-1, 1:-1] >= LOW
    if valid is not None:
        inner &= valid
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
