"""Holes and their surroundings."""

import numpy as np

from keras_ctsdg.conventions import SIZE_MULTIPLE

# Few sizes: each is compiled for once. Beyond the last, multiples of the first.
SIDES = (256, 384, 512, 768, 1024)
MARGIN = 64
CELL = 32
# A hole that is narrow, or covers no more than this of its surroundings, is a scratch:
# pieces of it have something to go by.
SCRATCH = 0.25


def padded_size(size):
    """A size `(height, width)` as the network takes it."""
    return tuple(-(-length // SIZE_MULTIPLE) * SIZE_MULTIPLE for length in size)


def box_size(box):
    """Height and width of a box `(top, left, bottom, right)`."""
    return box[2] - box[0], box[3] - box[1]


def crop_box(part, shape):
    """A hole with its surroundings: a quarter of it on each side, at least 64 pixels.

    Args:
        part: Tuple `(top, left, bottom, right)`, the hole.
        shape: Tuple `(H, W)` of the picture.

    Returns:
        Tuple of the same kind, of sides 256, 384, 512, 768, ..., or as long as
        the picture.
    """
    spans = []
    for start, end, length in zip(part[:2], part[2:], shape, strict=True):
        wanted = end - start + 2 * max(MARGIN, (end - start) // 4)
        side = next((x for x in SIDES if x >= wanted), None)
        side = side or -(-wanted // SIDES[0]) * SIDES[0]
        if side >= length:
            spans.append((0, length))
            continue
        first = min(max(0, (start + end - side) // 2), length - side)
        spans.append((first, first + side))
    (top, bottom), (left, right) = spans
    return top, left, bottom, right


class Parts:
    """The boxes of holes: apart, or together where their surroundings overlap.

    Args:
        hole: Bool array `[H, W]`, true in the hole.
        allows: Callable of a size `(height, width)`, whether a crop may have it.
    """

    def __init__(self, hole, allows):
        self.hole = hole
        self.allows = allows

    def find(self):
        """Two lists of boxes: those that a crop suffices for, and the larger ones."""
        small, large = [], []
        for part in self._pieces():
            self._split(part, small, large)
        return self._merged(small), large

    def _box(self, part):
        return crop_box(part, self.hole.shape)

    def _fits(self, part):
        return self.allows(padded_size(box_size(self._box(part))))

    def _pieces(self):
        """Boxes of holes, of which those within a cell or two count as one."""
        from scipy import ndimage

        height, width = self.hole.shape
        rows = np.logical_or.reduceat(self.hole, np.arange(0, height, CELL), axis=0)
        cells = np.logical_or.reduceat(rows, np.arange(0, width, CELL), axis=1)
        labels, _ = ndimage.label(cells, np.ones((3, 3), bool))
        for down, across in ndimage.find_objects(labels):
            yield self._tight(
                down.start * CELL,
                across.start * CELL,
                down.stop * CELL,
                across.stop * CELL,
            )

    def _tight(self, top, left, bottom, right):
        """The box of what there is of the hole in a box; `None` of nothing."""
        inside = self.hole[top:bottom, left:right]
        rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        if not rows.size:
            return None
        return tuple(
            int(x)
            for x in (
                top + rows[0],
                left + columns[0],
                top + rows[-1] + 1,
                left + columns[-1] + 1,
            )
        )

    def _split(self, part, small, large):
        """Halves what is too large for a crop, if it is a scratch."""
        if self._fits(part):
            small.append(part)
            return
        top, left, bottom, right = part
        height, width = box_size(part)
        around = self.hole[
            max(0, top - MARGIN) : bottom + MARGIN,
            max(0, left - MARGIN) : right + MARGIN,
        ]
        is_scratch = min(height, width) <= 2 * MARGIN or around.mean() <= SCRATCH
        if not is_scratch or max(height, width) <= CELL:
            large.append(part)
            return
        if height >= width:
            middle = top + height // 2
            halves = (top, left, middle, right), (middle, left, bottom, right)
        else:
            middle = left + width // 2
            halves = (top, left, bottom, middle), (top, middle, bottom, right)
        for half in halves:
            half = self._tight(*half)
            if half is not None:
                self._split(half, small, large)

    def _merged(self, parts):
        merged, pending = [], list(parts)
        while pending:
            part = pending.pop()
            box = self._box(part)
            for other, other_box in merged:
                both = _union(part, other)
                if _overlap(box, other_box) and self._fits(both):
                    merged.remove((other, other_box))
                    pending.append(both)
                    break
            else:
                merged.append((part, box))
        return [part for part, _ in merged]


def _overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _union(a, b):
    return (*map(min, a[:2], b[:2]), *map(max, a[2:], b[2:]))
