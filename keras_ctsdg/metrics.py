"""How near filled pictures come to the truth, overall and by the hole's share."""

import itertools

import keras
import numpy as np
from keras import ops

from keras_ctsdg.conventions import MASK_RATIO_BINS

BEYOND = "beyond_60"


def psnr(truth, picture):
    """Peak signal-to-noise ratio of each pair, for a peak of 1.

    Args:
        truth: Tensor `[B, H, W, C]` in [0, 1].
        picture: Tensor of the same shape, in [0, 1].

    Returns:
        Tensor `[B]`, in dB; infinite for equal pictures.
    """
    error = _mean(ops.square(_difference(truth, picture)))
    return -10.0 / np.log(10.0) * ops.log(error)


def mean_absolute_error(truth, picture):
    """Mean absolute error of each pair.

    Args:
        truth: Tensor `[B, H, W, C]` in [0, 1].
        picture: Tensor of the same shape, in [0, 1].

    Returns:
        Tensor `[B]`, in [0, 1].
    """
    return _mean(ops.abs(_difference(truth, picture)))


def ssim(truth, picture):
    """Structural similarity of each pair, for a range of 1.

    Gaussian window of 11 x 11 with a sigma of 1.5, K 0.01 and 0.03, over all places
    where the window lies within the picture; the mean over channels.

    Args:
        truth: Tensor `[B, H, W, C]` in [0, 1]; no side under 11.
        picture: Tensor of the same shape, in [0, 1].

    Returns:
        Tensor `[B]`, at most 1.

    Reference:
        - [Wang et al., 2004](https://doi.org/10.1109/TIP.2003.819861)
    """
    # Around their middle the variances lose fewer digits.
    x, y = (ops.cast(z, "float32") - 0.5 for z in (truth, picture))
    moments = _gaussian_window(ops.concatenate([x, y, x * x, y * y, x * y], axis=-1))
    mean_x, mean_y, xx, yy, xy = ops.split(moments, 5, axis=-1)
    variances = xx - mean_x * mean_x + yy - mean_y * mean_y
    covariance = xy - mean_x * mean_y
    mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variances + c2)
    return _mean(luminance * structure)


def is_group(name):
    """Whether an entry of the logs is of one group, or counts pairs."""
    return name.startswith("samples") or name.endswith(tuple(MASK_RATIO_BINS))


def mask_ratio(mask):
    """Share of each picture that its hole covers.

    Args:
        mask: Tensor `[B, H, W, 1]` in [0, 1], where 1 marks the hole.

    Returns:
        Tensor `[B]`, in [0, 1].
    """
    return _mean(ops.cast(mask, "float32"))


def _mean(x):
    """Mean of each map, an axis at a time: one long float32 sum would lose digits."""
    return ops.mean(ops.mean(ops.mean(x, axis=3), axis=2), axis=1)


def _difference(truth, picture):
    return ops.cast(truth, "float32") - ops.cast(picture, "float32")


def _gaussian_window(x):
    """Gaussian means, as sums of shifted maps: exact on any accelerator."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps = (taps / taps.sum()).tolist()
    last = len(taps) - 1
    x = sum(tap * x[:, i : i - last or None] for i, tap in enumerate(taps))
    return sum(tap * x[:, :, i : i - last or None] for i, tap in enumerate(taps))


class _ByMaskRatio(keras.metrics.Metric):
    """Means over pairs: of all, of each group, and of those beyond the last."""

    default_name = None
    quantity = None  # Of each pair: a function of truth and picture, to `[B]`.

    def __init__(self, name=None, dtype="float32"):
        super().__init__(name=name or self.default_name, dtype=dtype)
        size = (len(MASK_RATIO_BINS) + 2,)
        self.mean = self.add_variable(size, "zeros", name="mean")
        self.count = self.add_variable(size, "zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None, *, mask=None):
        """Adds pairs.

        Args:
            y_true: Tensor `[B, H, W, C]` in [0, 1], the true pictures.
            y_pred: Tensor of the same shape, the filled ones.
            mask: Tensor `[B, H, W, 1]`, where 1 marks the hole. Without it, pairs
                count overall and in no group. Defaults to `None`.
            sample_weight: Tensor `[B]`, the weight of each pair. Defaults to `None`,
                which is 1 for each.
        """
        value = self.quantity(y_true, y_pred)[:, None]
        members = self._members(value, mask)
        if sample_weight is not None:
            members *= ops.cast(ops.reshape(sample_weight, (-1, 1)), "float32")
        # Chosen, not multiplied: a value may be infinite.
        added = ops.sum(ops.where(members > 0, members * value, 0.0), axis=0)
        new = ops.sum(members, axis=0)
        mean, count = self.mean.value, self.count.value + new
        # Towards the new pairs: a sum over a whole data set would lose digits.
        step = (added - new * mean) / ops.maximum(count, 1e-12)
        is_open = ops.logical_and(ops.isfinite(mean), new > 0)
        self.mean.assign(ops.where(is_open, mean + step, mean))
        self.count.assign(count)

    def _members(self, value, mask):
        """Which groups each pair belongs to, `[B, groups]`, 1 or 0."""
        one = ops.ones_like(value)
        if mask is None:
            return ops.concatenate(
                [one, ops.repeat(0 * one, len(MASK_RATIO_BINS) + 1, axis=1)], axis=1
            )
        share = mask_ratio(mask)[:, None]
        above = [
            ops.cast(share > limit, "float32") for limit in MASK_RATIO_BINS.values()
        ]
        bounds = [one, *above, 0 * one]
        inside = [low - high for low, high in itertools.pairwise(bounds)]
        return ops.concatenate([one, *inside], axis=1)

    def result(self):
        """Dict of scalars: all pairs, then each group; NaN where there is none."""
        means = ops.where(self.count.value > 0, self.mean.value, np.nan)
        return self._named(means, list(MASK_RATIO_BINS))

    def _named(self, values, groups):
        names = [self.name, *(f"{self.name}_{group}" for group in groups)]
        return {name: values[i] for i, name in enumerate(names)}

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class PSNR(_ByMaskRatio):
    """Peak signal-to-noise ratio in dB, the mean over pairs, by the hole's share.

    Its result is a dict of scalars: `psnr` of all pairs, `psnr_0_20`, `psnr_20_40` and
    `psnr_40_60` of those whose hole covers up to 20, 40 and 60 % of the picture; NaN
    where there is none. Batch sizes do not matter.

    Args:
        name: Str. Defaults to `"psnr"`.
        dtype: Str. Defaults to `"float32"`.

    Example:

    >>> metric = keras_ctsdg.metrics.PSNR()
    >>> metric.update_state(truth, filled, mask)  # Pictures in [0, 1].
    >>> metric.result()["psnr"]
    """

    default_name = "psnr"
    quantity = staticmethod(psnr)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class SSIM(_ByMaskRatio):
    """Structural similarity, the mean over pairs, by the hole's share.

    Gaussian window of 11 x 11 with a sigma of 1.5. Its result is as that of
    `keras_ctsdg.metrics.PSNR`, with `ssim` for `psnr`.

    Args:
        name: Str. Defaults to `"ssim"`.
        dtype: Str. Defaults to `"float32"`.
    """

    default_name = "ssim"
    quantity = staticmethod(ssim)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class MeanAbsoluteError(_ByMaskRatio):
    """Mean absolute error in [0, 1], the mean over pairs, by the hole's share.

    Its result is as that of `keras_ctsdg.metrics.PSNR`, with `mae` for `psnr`.

    Args:
        name: Str. Defaults to `"mae"`.
        dtype: Str. Defaults to `"float32"`.
    """

    default_name = "mae"
    quantity = staticmethod(mean_absolute_error)


# Registered under the name that it had first, which files may hold.
@keras.saving.register_keras_serializable(package="keras_ctsdg", name="PairCount")
class SampleCount(_ByMaskRatio):
    """Number of pairs, by the hole's share.

    Its result is a dict of scalars: `pairs`, `pairs_0_20`, `pairs_20_40`,
    `pairs_40_60`, and `pairs_beyond_60`, which the others leave out of their groups.

    Args:
        name: Str. Defaults to `"pairs"`.
        dtype: Str. Defaults to `"float32"`.
    """

    default_name = "samples"
    # That there is one is all that counts.
    quantity = staticmethod(mean_absolute_error)

    def result(self):
        return self._named(self.count, [*MASK_RATIO_BINS, BEYOND])
