"""Check the arguments of data sets before anything is read."""

import numbers

import numpy as np


def check_size(image_size):
    """Return `image_size` as a tuple `(height, width)` of positive ints."""
    size = (image_size, image_size) if np.ndim(image_size) == 0 else image_size
    if len(size) != 2 or min(size) < 1:
        raise ValueError(
            "`image_size` must be a positive int or (height, width). "
            f"Received: image_size={image_size}"
        )
    return tuple(int(length) for length in size)


def check_sigma(sigma, edges):
    """Return `sigma` if it is positive and the data set computes edges with it."""
    if not sigma > 0:
        raise ValueError(f"`sigma` must be positive. Received: sigma={sigma}")
    if edges is None and sigma != 2.0:
        raise ValueError(
            "`sigma` has no effect on a data set without edges; pass it to "
            f"`keras_ctsdg.CTSDG`. Received: sigma={sigma}, edges=None"
        )
    return sigma


def check_seed(seed):
    """Return `seed` as an int that is not negative."""
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise ValueError(
            f"`seed` must be an int and not negative. Received: seed={seed!r}"
        )
    return int(seed)


def check_shard(shard):
    """Return `shard` as a tuple `(rank, count)` of ints."""
    rank, count = shard
    if not 0 <= rank < count:
        raise ValueError(
            "`shard` must be (rank, count) with 0 <= rank < count. "
            f"Received: shard={shard}"
        )
    return int(rank), int(count)
