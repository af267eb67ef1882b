"""Metrics that compare filled images with their targets, by mask ratio.

Functions return one value per sample; classes average them over all samples and over
each mask-ratio bin of the published tables. Images hold values in [0, 1].
"""

import itertools
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_ctsdg.conventions import MASK_RATIO_BINS
from keras_ctsdg.layers._ops import add_up

# The name of the samples whose mask ratio is above the last bin.
BEYOND = "beyond_60"


def psnr(target, image):
    """Compute the peak signal-to-noise ratio of each sample, for a peak of 1.

    Args:
        target: Tensor `[B, H, W, C]` in [0, 1].
        image: Tensor of the same shape, in [0, 1].

    Returns:
        Float32 tensor `[B]`, in dB; infinite for equal images.

    Example:

    >>> target, image = np.zeros((1, 16, 16, 3)), np.full((1, 16, 16, 3), 0.1)
    >>> round(float(keras_ctsdg.metrics.psnr(target, image)[0]), 3)
    20.0
    """
    error = _mean(ops.square(_difference(target, image)))
    return -10.0 / np.log(10.0) * ops.log(error)


def mean_absolute_error(target, image):
    """Compute the mean absolute error of each sample.

    Args:
        target: Tensor `[B, H, W, C]` in [0, 1].
        image: Tensor of the same shape, in [0, 1].

    Returns:
        Float32 tensor `[B]`, in [0, 1].
    """
    return _mean(ops.abs(_difference(target, image)))


def ssim(target, image):
    """Compute the structural similarity of each sample, for a data range of 1.

    The window is a Gaussian of 11 x 11 pixels with a sigma of 1.5; K1 is 0.01 and K2 is
    0.03. The result is the mean over channels and over all positions where the window
    lies inside the image.

    Args:
        target: Tensor `[B, H, W, C]` in [0, 1], with H and W of at least 11.
        image: Tensor of the same shape, in [0, 1].

    Returns:
        Float32 tensor `[B]`, at most 1; 1 for equal images.

    Reference:
        - [Wang et al., 2004](https://doi.org/10.1109/TIP.2003.819861)
    """
    # Variances of values around 0 lose fewer digits.
    x, y = (ops.cast(z, "float32") - 0.5 for z in (target, image))
    moments = _gaussian_window(ops.concatenate([x, y, x * x, y * y, x * y], axis=-1))
    mean_x, mean_y, xx, yy, xy = ops.split(moments, 5, axis=-1)
    variances = xx - mean_x * mean_x + yy - mean_y * mean_y
    covariance = xy - mean_x * mean_y
    mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variances + c2)
    return _mean(luminance * structure)


def mask_ratio(mask):
    """Compute the share of each image that its hole covers.

    Args:
        mask: Tensor `[B, H, W, 1]` in [0, 1], where 1 marks the hole.

    Returns:
        Float32 tensor `[B]`, in [0, 1].

    Example:

    >>> mask = np.zeros((1, 8, 8, 1))
    >>> mask[:, :4, :4] = 1
    >>> float(keras_ctsdg.metrics.mask_ratio(mask)[0])
    0.25
    """
    return _mean(ops.cast(mask, "float32"))


def is_bin_or_count(name):
    """Return whether a log is of a single mask-ratio bin or a number of samples."""
    return name.startswith("samples") or name.endswith(tuple(MASK_RATIO_BINS))


def _mean(x):
    # One axis at a time, because a single long float32 sum would lose digits.
    return ops.mean(ops.mean(ops.mean(x, axis=3), axis=2), axis=1)


def _difference(target, image):
    return ops.cast(target, "float32") - ops.cast(image, "float32")


def _gaussian_window(x):
    """Compute Gaussian means as sums of shifted maps, in float32 on any accelerator."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps = (taps / taps.sum()).tolist()
    last = len(taps) - 1
    x = add_up(tap * x[:, i : i - last or None] for i, tap in enumerate(taps))
    return add_up(tap * x[:, :, i : i - last or None] for i, tap in enumerate(taps))


class _ByMaskRatio(keras.metrics.Metric):
    """Mean of a quantity over all samples, those of each bin, and those beyond."""

    default_name: str
    # A function of targets and images that returns a value per sample, `[B]`.
    quantity: Callable

    def __init__(self, name=None, dtype="float32"):
        super().__init__(name=name or self.default_name, dtype=dtype)
        size = (len(MASK_RATIO_BINS) + 2,)
        # All are sums, because Keras adds up the variables of several replicas.
        self.total = self.add_variable(size, "zeros", "float32", name="total")
        self.rounding = self.add_variable(size, "zeros", "float32", name="rounding")
        self.count = self.add_variable(size, "zeros", "float32", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None, *, mask=None):
        """Add the samples of a batch.

        Args:
            y_true: Tensor `[B, H, W, C]` in [0, 1], the targets.
            y_pred: Tensor of the same shape, the filled images.
            sample_weight: Tensor `[B]` or `[B, 1]`, the weight of each sample, or a
                scalar for all. Defaults to `None`, a weight of 1 for each.
            mask: Tensor `[B, H, W, 1]` in [0, 1], where 1 marks the hole. Without it,
                samples count overall and in no bin. Defaults to `None`.
        """
        value = self.quantity(y_true, y_pred)[:, None]
        weights = self._bin_members(value, mask)
        if sample_weight is not None:
            sample_weight = ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
            # Weights of another shape, such as one per pixel, are an error here.
            weights *= ops.broadcast_to(sample_weight, ops.shape(value)[:1])[:, None]
        # Without `where`, an infinite value times 0 would be NaN.
        added = ops.sum(ops.where(weights > 0, weights * value, 0.0), axis=0)
        before = self.total.value
        total = before + added
        # What float32 rounds off in this sum, or a long one would lose digits.
        part = total - before
        rounding = (before - (total - part)) + (added - part)
        rounding = ops.where(ops.isfinite(total), rounding, 0.0)
        self.total.assign(total)
        self.rounding.assign(self.rounding.value + rounding)
        self.count.assign(self.count.value + ops.sum(weights, axis=0))

    def _bin_members(self, value, mask):
        """Return 1 where a sample is in a bin, else 0: `[B, bins + 2]`."""
        # The first column stands for all samples, the last for those beyond the bins.
        one = ops.ones_like(value)
        if mask is None:
            return ops.concatenate([one] + [0 * one] * (len(MASK_RATIO_BINS) + 1), 1)
        ratio = mask_ratio(mask)[:, None]
        above = [ops.cast(ratio > x, "float32") for x in MASK_RATIO_BINS.values()]
        bounds = [one, *above, 0 * one]
        inside = [low - high for low, high in itertools.pairwise(bounds)]
        return ops.concatenate([one, *inside], axis=1)

    def result(self):
        """Return a dict of means, which are NaN where there are no samples."""
        count = self.count.value
        total = self.total.value + self.rounding.value
        means = ops.where(count > 0, total / ops.maximum(count, 1e-12), np.nan)
        return self._named(means, list(MASK_RATIO_BINS))

    def _named(self, values, bins):
        names = [self.name, *(f"{self.name}_{name}" for name in bins)]
        return {name: values[i] for i, name in enumerate(names)}

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class PSNR(_ByMaskRatio):
    """Peak signal-to-noise ratio in dB, averaged over samples, by mask ratio.

    `update_state(y_true, y_pred, sample_weight=None, *, mask=None)` takes images
    `[B, H, W, C]` in [0, 1], weights `[B]` and a mask `[B, H, W, 1]`, where 1 marks the
    hole. `result()` returns a dict of scalars: `psnr` for all samples, and `psnr_0_20`,
    `psnr_20_40` and `psnr_40_60` for those with mask ratios up to 0.2, above 0.2 up to
    0.4, and above 0.4 up to 0.6. The keys start with the metric's name. A mean without
    samples is NaN, and without a mask samples are in no bin. A sample whose images are
    equal makes its means infinite. The mean does not depend on the batch size.

    Args:
        name: Str. Defaults to `"psnr"`.
        dtype: Str. Defaults to `"float32"`.

    Example:

    >>> target, filled = np.zeros((2, 16, 16, 3)), np.full((2, 16, 16, 3), 0.1)
    >>> mask = np.zeros((2, 16, 16, 1))
    >>> mask[:, :8, :8] = 1
    >>> metric = keras_ctsdg.metrics.PSNR()
    >>> metric.update_state(target, filled, mask=mask)
    >>> round(float(metric.result()["psnr_20_40"]), 3)
    20.0
    """

    default_name = "psnr"
    quantity = staticmethod(psnr)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class SSIM(_ByMaskRatio):
    """Structural similarity, averaged over samples, by mask ratio.

    The window is a Gaussian of 11 x 11 pixels with a sigma of 1.5, so images have at
    least 11 x 11 pixels. Arguments and result are those of `keras_ctsdg.metrics.PSNR`,
    with keys that start with `ssim`; values are at most 1.

    Args:
        name: Str. Defaults to `"ssim"`.
        dtype: Str. Defaults to `"float32"`.
    """

    default_name = "ssim"
    quantity = staticmethod(ssim)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class MeanAbsoluteError(_ByMaskRatio):
    """Mean absolute error in [0, 1], averaged over samples, by mask ratio.

    Arguments and result are those of `keras_ctsdg.metrics.PSNR`, with keys that start
    with `mae`.

    Args:
        name: Str. Defaults to `"mae"`.
        dtype: Str. Defaults to `"float32"`.

    Example:

    >>> target, filled = np.zeros((2, 16, 16, 3)), np.zeros((2, 16, 16, 3))
    >>> filled[1] = 1
    >>> metric = keras_ctsdg.metrics.MeanAbsoluteError()
    >>> metric.update_state(target, filled, sample_weight=[3, 1])
    >>> float(metric.result()["mae"])
    0.25
    """

    default_name = "mae"
    quantity = staticmethod(mean_absolute_error)


# Registered under its first name, which saved files may contain.
@keras.saving.register_keras_serializable(package="keras_ctsdg", name="PairCount")
class SampleCount(_ByMaskRatio):
    """Number of samples, by mask ratio.

    Arguments are those of `keras_ctsdg.metrics.PSNR`. `result()` returns a dict of
    scalars: `samples` for all samples, `samples_0_20`, `samples_20_40` and
    `samples_40_60` for those of each bin, and `samples_beyond_60` for those with mask
    ratios above 0.6, which are in no bin of the other metrics. With sample weights,
    these are sums of weights.

    Args:
        name: Str. Defaults to `"samples"`.
        dtype: Str. Defaults to `"float32"`.

    Example:

    >>> images, mask = np.zeros((4, 16, 16, 3)), np.ones((4, 16, 16, 1))
    >>> metric = keras_ctsdg.metrics.SampleCount()
    >>> metric.update_state(images, images, mask=mask)
    >>> int(metric.result()["samples_beyond_60"])
    4
    """

    default_name = "samples"
    # Any finite quantity will do, because only the counts are reported.
    quantity = staticmethod(mean_absolute_error)

    def result(self):
        return self._named(self.count, [*MASK_RATIO_BINS, BEYOND])
