"""Means over a batch, parts of which may be computed by several processes.

A sample of weight 0 only fills up a batch: it counts nothing, in no mean. Without
`batch_weights` every sample counts, and the batch is that of this process.
"""

import contextlib
import contextvars
from typing import Any

from keras import ops

_WEIGHTS: contextvars.ContextVar[Any] = contextvars.ContextVar("_WEIGHTS", default=None)


class _Weights:
    """Weights of the samples at hand, `[B]`, and their sum over all processes."""

    def __init__(self, weights, all_sum):
        self.weights = weights
        self.all_sum = all_sum
        # A batch may have no sample that counts.
        self.total = ops.maximum(all_sum(ops.sum(weights)), 1e-12)

    def share_of_mean(self, values):
        """Return the share of this process in the mean of values `[B, ...]`."""
        weights = self.weights / self.total
        shape = (-1, *(1 for _ in values.shape[1:]))
        return ops.sum(ops.reshape(weights, shape) * values, axis=0)


@contextlib.contextmanager
def batch_weights(weights, all_sum):
    """Weigh the samples in all means that are computed within.

    Args:
        weights: Float32 tensor `[B]`, or `None`, which leaves means as they are.
        all_sum: Function of a tensor that returns the sum of those that all processes
            pass to it, with gradients.

    Example:

    >>> with batch_weights(np.float32([1, 1, 0]), all_sum=lambda x: x):
    ...     float(batch_mean(np.float32([1, 2, 9])))
    1.5
    """
    weighted = None if weights is None else _Weights(weights, all_sum)
    token = _WEIGHTS.set(weighted)
    try:
        yield
    finally:
        _WEIGHTS.reset(token)


def batch_mean(x):
    """Compute the mean of all elements; within `batch_weights`, this process' share.

    The shares of all processes add up to the mean.

    Args:
        x: Tensor `[B, ...]`, within `batch_weights` of as many samples as weights.

    Returns:
        Scalar tensor.
    """
    weighted = _WEIGHTS.get()
    if weighted is None:
        return ops.mean(x)
    if len(x.shape) > 1:
        x = ops.mean(x, axis=tuple(range(1, len(x.shape))))
    return weighted.share_of_mean(x)


def batch_moments(x):
    """Compute mean and variance of channels over the samples of all processes.

    Args:
        x: Float32 tensor `[B, H, W, C]`.

    Returns:
        Tuple of two tensors `[C]`, or `None` outside of `batch_weights`.
    """
    weighted = _WEIGHTS.get()
    if weighted is None:
        return None

    def all_mean(values):
        values = ops.mean(values, axis=(1, 2))
        return weighted.all_sum(weighted.share_of_mean(values))

    mean = all_mean(x)
    # The mean of squares less the square of the mean would lose digits.
    return mean, all_mean(ops.square(x - mean))
