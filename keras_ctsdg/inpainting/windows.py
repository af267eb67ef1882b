"""The windows of an image that the network fills, by strategy."""

import operator
from typing import NamedTuple

from keras_ctsdg.conventions import SIZE_MULTIPLE
from keras_ctsdg.inpainting.crops import (
    RegionFinder,
    box_size,
    boxes_overlap,
    crop_box,
    padded_size,
)
from keras_ctsdg.inpainting.options import Strategy

# Each number of windows that are filled at once is compiled once more.
GROUP_SIZES = (8, 4, 2, 1)
# On 2 cores, 4 windows at once took as long as one by one on JAX, and 1.6 times as long
# on PyTorch.
GROUP_SIZES_ON_CPU = (1,)


class Window(NamedTuple):
    """A box of an image that the network sees at once.

    Args:
        box: Tuple `(top, left, bottom, right)`, what the network sees.
        region: Tuple `(top, left, bottom, right)` within `box`; the holes in it are
            filled.
        size: Tuple `(height, width)` that the box is resized to for the network, or
            `None` for the image's own resolution. Defaults to `None`.
    """

    box: tuple
    region: tuple
    size: tuple | None = None

    @property
    def network_size(self):
        """Tuple `(height, width)` of the network's input."""
        return padded_size(self.size or box_size(self.box))

    def is_apart(self, other):
        """Return whether neither of two windows sees what the other one fills."""
        return not (
            boxes_overlap(self.region, other.box)
            or boxes_overlap(other.region, self.box)
        )


def plan_windows(hole, strategy, size, limit):
    """Choose the windows that fill a hole.

    Args:
        hole: Bool array `[H, W]`, true in the hole.
        strategy: `"auto"`, `"full"`, `"crop"` or `"resize"`; `InpaintOptions`
            explains them.
        size: Int, the long side for `"resize"`, and the longest side that `"auto"`
            gives to the network.
        limit: `MemoryLimit`.

    Returns:
        List of `Window`, in the order in which they are filled.

    Raises:
        ValueError: If the strategy needs more memory than the limit.
    """
    windows = _plan(hole, strategy, size, limit)
    return [limit.widen(window, hole.shape) for window in windows]


def _plan(hole, strategy, size, limit):
    height, width = hole.shape
    whole = (0, 0, height, width)
    if strategy == Strategy.FULL:
        limit.check(padded_size(hole.shape), strategy)
        return [Window(whole, whole)]
    if strategy == Strategy.RESIZE:
        window = Window(whole, whole, _resized(whole, size))
        limit.check(padded_size(window.size), strategy)
        return [window]
    if strategy == Strategy.CROP:
        fitting, too_large = RegionFinder(hole, limit.allows).find()
        if too_large:
            _refuse(too_large[0], hole.shape, limit)
        return _sorted(
            Window(crop_box(region, hole.shape), region) for region in fitting
        )
    return _plan_auto(hole, size, limit)


def choose_group_sizes(generator):
    """Return how many windows the network may fill at once, from the most to 1.

    Args:
        generator: `keras_ctsdg.models.Generator`.
    """
    devices = {str(variable.value.device) for variable in generator.variables[:1]}
    is_cpu = all("cpu" in device.lower() for device in devices)
    return GROUP_SIZES_ON_CPU if is_cpu else GROUP_SIZES


def group_windows(windows, limit, sizes=GROUP_SIZES):
    """Divide windows into groups that the network fills at once.

    The result is that of filling them one after the other: a window waits for those
    before it that fill what it sees, or see what it fills.

    Args:
        windows: List of `Window`, in the order in which they are filled.
        limit: `MemoryLimit`.
        sizes: Tuple of int, as `choose_group_sizes` returns it. Defaults to
            `GROUP_SIZES`.

    Yields:
        List of `Window` whose network inputs have one size and together keep the limit.
    """
    remaining = list(windows)
    while remaining:
        group, waiting = remaining[:1], []
        size = group[0].network_size
        for window in remaining[1:]:
            fits = window.network_size == size and limit.allows(size, len(group) + 1)
            if fits and all(map(window.is_apart, group + waiting)):
                group.append(window)
            else:
                waiting.append(window)
        count = next(x for x in sizes if x <= len(group))
        yield group[:count]
        remaining = [x for x in remaining if x not in group[:count]]


def _plan_auto(hole, size, limit):
    """Plan one window for a small image; for others crops, resized where too large."""
    longest = padded_size((size,))[0]

    def allows(shape):
        return max(shape) <= longest and limit.allows(shape)

    if allows(padded_size(hole.shape)):
        whole = (0, 0, *hole.shape)
        return [Window(whole, whole)]
    fitting, too_large = RegionFinder(hole, allows).find()
    windows = [Window(crop_box(region, hole.shape), region) for region in fitting]
    for region in too_large:
        box, side = crop_box(region, hole.shape), size
        while not limit.allows(padded_size(_resized(box, side))):
            if side <= SIZE_MULTIPLE:
                limit.check((SIZE_MULTIPLE, SIZE_MULTIPLE), Strategy.AUTO)
            side = max(SIZE_MULTIPLE, side - SIZE_MULTIPLE)
        windows.append(Window(box, region, _resized(box, side)))
    return _sorted(windows)


def _sorted(windows):
    return sorted(windows, key=lambda window: window.region)


def _widen(span, length, limit):
    """Return a span of a length around another one, within an image's side."""
    start, end = span
    length = min(max(length, end - start), limit)
    start = min(max(0, (start + end - length) // 2), limit - length)
    return start, start + length


def _resized(box, size):
    """Return `(height, width)` of a box after resizing it to a long side."""
    lengths = box_size(box)
    return tuple(max(1, round(x * size / max(lengths))) for x in lengths)


def _refuse(region, shape, limit):
    crop = padded_size(box_size(crop_box(region, shape)))
    limit.check_size(crop, Strategy.CROP)
    raise ValueError(
        f'`strategy="crop"` needs {crop[0]} x {crop[1]} pixels at once for the hole '
        f"at row {region[0]}, column {region[1]}, for which the network takes about "
        f"{limit.estimate(crop):.1f} GB. Raise `memory_limit`, or use "
        f'`strategy="auto"` or "resize". Received: memory_limit={limit.gigabytes}'
    )


def fixed_size(generator):
    """Return the only `(height, width)` that a generator takes, or `None`."""
    size = tuple(generator.image_shape[:2])
    return None if None in size else size


class MemoryLimit:
    """The memory that the network may take, and the sizes of images that it takes.

    Args:
        gigabytes: Float, the limit.
        generator: `keras_ctsdg.models.Generator`, which estimates what it takes.
    """

    def __init__(self, gigabytes, generator):
        self.gigabytes = gigabytes
        self.generator = generator
        self.size = fixed_size(generator)

    def estimate(self, size):
        """Return the gigabytes that an image of `(height, width)` takes."""
        return self.generator.estimate_memory(*(self.size or size))

    def fits(self, size):
        """Return whether a network of fixed size takes an image, mirrored to it."""
        return self.size is None or all(map(operator.le, size, self.size))

    def allows(self, size, count=1):
        """Return whether images of `(height, width)` are within the limit together."""
        return self.fits(size) and count * self.estimate(size) <= self.gigabytes

    def widen(self, window, shape):
        """Return a window that shows a network of fixed size all that it can see."""
        if self.size is None or window.size is not None:
            return window
        spans = [
            _widen(window.box[i::2], self.size[i], shape[i]) for i in range(len(shape))
        ]
        (top, bottom), (left, right) = spans
        return window._replace(box=(top, left, bottom, right))

    def check_size(self, size, strategy):
        """Raise `ValueError` if a network of fixed size does not take an image."""
        if self.size is not None and not self.fits(size):
            raise ValueError(
                f'`strategy="{strategy}"` gives the network {size[0]} x {size[1]} '
                f"pixels at once, but it takes {self.size[0]} x {self.size[1]} "
                '(height x width). Lower `size`, or use `strategy="auto"`. Received: '
                f"strategy={str(strategy)!r}"
            )

    def check(self, size, strategy):
        """Raise `ValueError` if an image of `(height, width)` exceeds the limit."""
        self.check_size(size, strategy)
        if not self.allows(size):
            raise ValueError(
                f'`strategy="{strategy}"` gives the network {size[0]} x {size[1]} '
                f"pixels at once, for which it takes about "
                f"{self.estimate(size):.1f} GB. Raise `memory_limit`, lower `size`, or "
                'use `strategy="auto"`. '
                f"Received: memory_limit={self.gigabytes}"
            )
