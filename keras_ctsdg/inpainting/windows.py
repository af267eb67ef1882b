"""Which parts of a picture the network sees, by strategy."""

from typing import NamedTuple

from keras_ctsdg.conventions import SIZE_MULTIPLE
from keras_ctsdg.inpainting.crops import Parts, box_size, crop_box, padded_size


class Window(NamedTuple):
    """A part of a picture for the network, and the part of it that is painted.

    Args:
        box: Tuple `(top, left, bottom, right)` of what the network sees.
        part: Tuple of the same kind, within `box`, of which holes are painted.
        size: Tuple `(height, width)` that the box is resized to, or `None`.
    """

    box: tuple
    part: tuple
    size: tuple | None = None


def plan_windows(hole, strategy, size, limit):
    """The windows that fill a hole, to be worked on in their order.

    Args:
        hole: Bool array `[H, W]`, true in the hole.
        strategy: `"auto"`, `"full"`, `"crop"` or `"resize"`.
        size: Int, the long side for `"resize"`, and the longest that `"auto"`
            gives to the network.
        limit: `MemoryLimit`.

    Returns:
        List of `Window`.

    Raises:
        ValueError: If what the strategy asks for is beyond the limit.
    """
    height, width = hole.shape
    whole = (0, 0, height, width)
    if strategy == "full":
        limit.check(padded_size(hole.shape), strategy)
        return [Window(whole, whole)]
    if strategy == "resize":
        window = Window(whole, whole, _scaled(whole, size))
        limit.check(padded_size(window.size), strategy)
        return [window]
    if strategy == "crop":
        small, large = Parts(hole, limit.allows).find()
        if large:
            _refuse(large[0], hole.shape, limit)
        return _in_order(Window(crop_box(part, hole.shape), part) for part in small)
    return _auto(hole, size, limit)


def _auto(hole, size, limit):
    """Whole if that is small enough; else crops, those too large made smaller."""
    longest = padded_size((size,))[0]

    def allows(shape):
        return max(shape) <= longest and limit.allows(shape)

    if allows(padded_size(hole.shape)):
        whole = (0, 0, *hole.shape)
        return [Window(whole, whole)]
    small, large = Parts(hole, allows).find()
    windows = [Window(crop_box(part, hole.shape), part) for part in small]
    for part in large:
        box, side = crop_box(part, hole.shape), size
        while not limit.allows(padded_size(_scaled(box, side))):
            if side <= SIZE_MULTIPLE:
                limit.check((SIZE_MULTIPLE, SIZE_MULTIPLE), "auto")
            side = max(SIZE_MULTIPLE, side - SIZE_MULTIPLE)
        windows.append(Window(box, part, _scaled(box, side)))
    return _in_order(windows)


def _in_order(windows):
    return sorted(windows, key=lambda window: window.part)


def _scaled(box, size):
    """Height and width of a box, brought to a long side."""
    lengths = box_size(box)
    return tuple(max(1, round(x * size / max(lengths))) for x in lengths)


def _refuse(part, shape, limit):
    crop = padded_size(box_size(crop_box(part, shape)))
    raise ValueError(
        f'`strategy="crop"` needs {crop[0]} x {crop[1]} pixels at once for the hole '
        f"at row {part[0]}, column {part[1]}, for which the network takes about "
        f'{limit.need(crop):.1f} GB. Raise `memory_limit`, or use `strategy="auto"` '
        f'or "resize". Received: memory_limit={limit.gigabytes}'
    )


class MemoryLimit:
    """The memory that the network may take.

    Args:
        gigabytes: Float.
        generator: `keras_ctsdg.models.Generator`.
    """

    def __init__(self, gigabytes, generator):
        self.gigabytes = gigabytes
        self.generator = generator

    def need(self, size):
        """Return the gigabytes that an image of `(height, width)` takes."""
        return self.generator.estimate_memory(*size)

    def allows(self, size):
        return self.need(size) <= self.gigabytes

    def check(self, size, strategy):
        if not self.allows(size):
            raise ValueError(
                f'`strategy="{strategy}"` gives the network {size[0]} x {size[1]} '
                f"pixels at once, for which it takes about {self.need(size):.1f} GB. "
                'Raise `memory_limit`, lower `size`, or use `strategy="auto"`. '
                f"Received: memory_limit={self.gigabytes}"
            )
