"""Colors and alpha in masks: which of them marks the hole."""

import numpy as np
from PIL import Image

# In RGB: the spread of the channels of a gray, with the noise of a JPEG; the distance
# of another color; and the distances from the line between two colors on which their
# mixtures lie, exactly or with that noise.
GRAY_SPREAD = 48
OTHER_COLOR = 40
OFF_LINE, OFF_LINE_OF_JPEG = 24, 64
# Masks with so few levels or colors have no smooth rims and no noise of a JPEG.
FEW = 8
# The luminance from which a gray is too light for a ground that colors mark.
LIGHT = 192
# The difference in luminance between a dark color and a light one.
DARK_TO_LIGHT = 128


class UnclearMaskError(ValueError):
    """A mask that does not tell the hole; the message says what it has instead."""

    def __init__(self, found):
        super().__init__(
            "it does not tell which pixels are the hole; mark them in white, on black. "
            f"It has {found}"
        )


class _Palette:
    """The colors of an image and how many pixels have each.

    Args:
        pixels: Uint8 array `[..., 3]`.
    """

    def __init__(self, pixels):
        red, green, blue = (pixels[..., i].astype("int32") for i in range(3))
        packed = red << 16 | green << 8 | blue
        packed, self.counts = np.unique(packed, return_counts=True)
        bands = [packed >> 16, packed >> 8 & 255, packed & 255]
        self.colors = np.stack(bands, axis=-1).astype("float32")
        self.main = self.colors[self.counts.argmax()]
        is_other = np.linalg.norm(self.colors - self.main, axis=-1) > OTHER_COLOR
        self.second = None
        if is_other.any():
            others = np.where(is_other, self.counts, 0)
            self.second = self.colors[others.argmax()]

    def share_near(self, *colors):
        """Return the share of pixels that have one of some colors, or nearly."""
        distances = [np.linalg.norm(self.colors - x, axis=-1) for x in colors]
        is_near = np.min(distances, axis=0) <= OTHER_COLOR
        return self.counts[is_near].sum() / self.counts.sum()

    def describe(self):
        """Return the most frequent colors as the web writes them."""
        order = np.argsort(-self.counts, kind="stable")
        names = ["#" + bytes(map(int, x)).hex() for x in self.colors[order[:5]]]
        return "the colors " + ", ".join(names) + (", ..." if len(order) > 5 else "")


def resolve_colors(colors):
    """Return levels `[H, W]` of opaque colors, in which the mark is light."""
    bands = [colors[..., i] for i in range(3)]
    spread = np.maximum.reduce(bands) - np.minimum.reduce(bands)
    if spread.max() <= GRAY_SPREAD:
        return np.asarray(Image.fromarray(colors).convert("L"))
    palette = _Palette(colors)
    mark, ground = _mark_and_ground(palette)
    # Where a color lies between the two, from 0 to 1
    axis = (mark - ground) / np.square(mark - ground).sum()
    position = (palette.colors - ground) @ axis
    line = ground + position[:, None] * (mark - ground)
    off_line = np.linalg.norm(palette.colors - line, axis=-1)
    is_between = (position > 0.2) & (position < 0.8)
    size, marked = palette.counts.sum(), palette.counts[position > 0.5].sum()
    if len(palette.colors) <= FEW:
        # Without a smooth rim, what lies between the two is another color.
        is_clear = not (is_between | (off_line > OFF_LINE)).any()
    else:
        off_line = palette.counts[off_line > OFF_LINE_OF_JPEG].sum()
        is_clear = off_line <= 0.1 * min(size, 4 * marked)
        is_clear &= palette.counts[is_between].sum() <= 0.3 * size
    if not is_clear:
        raise UnclearMaskError(palette.describe())
    position = colors.astype("float32") @ axis - ground @ axis
    return np.rint(np.clip(position, 0, 1) * 255).astype("uint8")


def _mark_and_ground(palette):
    """Tell which of two colors marks the hole."""
    if palette.second is None:
        raise UnclearMaskError(palette.describe())
    pair = palette.main, palette.second
    grays = [np.ptp(color) <= GRAY_SPREAD for color in pair]
    first, second = (_luminance(color) for color in pair)
    if grays[0] != grays[1]:
        ground = pair[grays.index(True)]
        if _luminance(ground) < LIGHT:
            return pair[grays.index(False)], ground
    elif abs(first - second) >= DARK_TO_LIGHT:
        return pair if first > second else pair[::-1]
    raise UnclearMaskError(palette.describe())


def _luminance(color):
    # The weights by which Pillow converts to gray.
    return color @ np.array([0.299, 0.587, 0.114], "float32")


# === Alpha ===


def resolve_alpha(colors, alpha):
    """Return the levels that an alpha marks, or the opaque colors on black."""
    low, high = alpha.min(), alpha.max()
    if high == 0:
        raise UnclearMaskError("transparent pixels only")
    if low == high:
        return colors
    is_opaque = alpha > high / 2
    palette = _Palette(colors[is_opaque])
    if palette.share_near(palette.main) >= 0.98:
        is_gray = np.ptp(palette.main) <= GRAY_SPREAD
        is_dark = is_gray and _luminance(palette.main) < LIGHT
        # What is erased from a sheet of one color is the hole; what is drawn, too.
        if is_dark or is_opaque.mean() > 0.5:
            raise UnclearMaskError(f"transparent pixels and {palette.describe()}")
        return alpha
    is_photo = len(palette.colors) > FEW
    if is_photo and palette.share_near(palette.main, palette.second) < 0.9:
        # Strokes of many colors are no photo with a hole.
        if is_opaque.mean() < 0.5:
            raise UnclearMaskError(f"transparent pixels and {palette.describe()}")
        return 255 - alpha
    opacity = alpha[..., None] / 255
    return np.rint(colors * opacity).astype("uint8")
