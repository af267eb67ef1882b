"""The regions of an image that its holes cover, and the crops around them."""

import numpy as np

from keras_ctsdg.conventions import SIZE_MULTIPLE

# The sides of a crop; longer ones are multiples of the first. Few different sizes
# keep the number of compilations low.
CROP_SIDES = (256, 384, 512, 768, 1024)
MIN_MARGIN = 64
CELL = 32
# A hole that is narrow, or that covers at most this share of its surroundings, is a
# scratch: each piece of it is still surrounded by intact pixels.
MAX_SCRATCH_RATIO = 0.25


def padded_size(size):
    """Round a size `(height, width)` up to the multiple that the network takes."""
    return tuple(-(-length // SIZE_MULTIPLE) * SIZE_MULTIPLE for length in size)


def box_size(box):
    """Return `(height, width)` of a box `(top, left, bottom, right)`."""
    return box[2] - box[0], box[3] - box[1]


def boxes_overlap(a, b):
    """Return whether two boxes `(top, left, bottom, right)` have a pixel in common."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def crop_box(region, shape):
    """Return the box of a region and its surroundings.

    The margin on each side is a quarter of the region's length, at least 64 pixels.

    Args:
        region: Tuple `(top, left, bottom, right)`, the box of a hole.
        shape: Tuple `(H, W)` of the image.

    Returns:
        Tuple `(top, left, bottom, right)`, with sides of 256, 384, 512, 768, ...
        pixels, or as long as the image.
    """
    spans = []
    for start, end, length in zip(region[:2], region[2:], shape, strict=True):
        wanted = end - start + 2 * max(MIN_MARGIN, (end - start) // 4)
        side = next((x for x in CROP_SIDES if x >= wanted), None)
        side = side or -(-wanted // CROP_SIDES[0]) * CROP_SIDES[0]
        if side >= length:
            spans.append((0, length))
            continue
        first = min(max(0, (start + end - side) // 2), length - side)
        spans.append((first, first + side))
    (top, bottom), (left, right) = spans
    return top, left, bottom, right


class RegionFinder:
    """Divides a mask into regions, each of which is filled in a crop of its own.

    Args:
        hole: Bool array `[H, W]`, true in the hole.
        allows: Callable of a size `(height, width)`, whether the network may take
            an input of that size.
    """

    def __init__(self, hole, allows):
        self.hole = hole
        self.allows = allows

    def find(self):
        """Find the regions of the hole.

        Regions whose crops overlap are merged, and scratches too long for one crop
        are split.

        Returns:
            Tuple of two lists of boxes `(top, left, bottom, right)`: regions that
            fit one crop, and regions that are too large for it.
        """
        fitting, too_large = [], []
        for region in self._connected_regions():
            self._split(region, fitting, too_large)
        return self._merge(fitting), too_large

    def _crop(self, region):
        return crop_box(region, self.hole.shape)

    def _fits(self, region):
        return self.allows(padded_size(box_size(self._crop(region))))

    def _connected_regions(self):
        """Yield boxes of holes; holes within a cell of each other share a box."""
        from scipy import ndimage

        height, width = self.hole.shape
        rows = np.logical_or.reduceat(self.hole, np.arange(0, height, CELL), axis=0)
        cells = np.logical_or.reduceat(rows, np.arange(0, width, CELL), axis=1)
        labels, _ = ndimage.label(cells, np.ones((3, 3), bool))
        for down, across in ndimage.find_objects(labels):
            yield self._shrink(
                down.start * CELL,
                across.start * CELL,
                down.stop * CELL,
                across.stop * CELL,
            )

    def _shrink(self, top, left, bottom, right):
        """Return the smallest box of the hole within a box; `None` if there is none."""
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

    def _split(self, region, fitting, too_large):
        """Halve a region, if it is a scratch, until its pieces fit a crop."""
        if self._fits(region):
            fitting.append(region)
            return
        top, left, bottom, right = region
        height, width = box_size(region)
        surroundings = self.hole[
            max(0, top - MIN_MARGIN) : bottom + MIN_MARGIN,
            max(0, left - MIN_MARGIN) : right + MIN_MARGIN,
        ]
        is_narrow = min(height, width) <= 2 * MIN_MARGIN
        is_scratch = is_narrow or surroundings.mean() <= MAX_SCRATCH_RATIO
        if not is_scratch or max(height, width) <= CELL:
            too_large.append(region)
            return
        if height >= width:
            middle = top + height // 2
            halves = (top, left, middle, right), (middle, left, bottom, right)
        else:
            middle = left + width // 2
            halves = (top, left, bottom, middle), (top, middle, bottom, right)
        for half in halves:
            half = self._shrink(*half)
            if half is not None:
                self._split(half, fitting, too_large)

    def _merge(self, regions):
        """Merge regions whose crops overlap, as long as the result fits a crop."""
        merged, pending = [], list(regions)
        while pending:
            region = pending.pop()
            crop = self._crop(region)
            for other, other_crop in merged:
                both = _union(region, other)
                if boxes_overlap(crop, other_crop) and self._fits(both):
                    merged.remove((other, other_crop))
                    pending.append(both)
                    break
            else:
                merged.append((region, crop))
        return [region for region, _ in merged]


def _union(a, b):
    return (*map(min, a[:2], b[:2]), *map(max, a[2:], b[2:]))
