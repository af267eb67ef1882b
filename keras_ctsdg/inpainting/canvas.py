"""A picture of any kind as levels that can be painted on, and back."""

import numpy as np
from PIL import Image

from keras_ctsdg.conventions import image_to_levels, levels_to_image
from keras_ctsdg.data.edges import LUMINANCE

# EXIF's orientations as views: what is painted on the view is on the picture.
UPRIGHT = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x.swapaxes(0, 1)[:, ::-1],
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x.swapaxes(0, 1)[::-1],
}
ORIENTATION = 0x0112
TOPS = {"uint8": 255, "uint16": 65535}


class Canvas:
    """What is painted on: a copy of a picture, upright.

    Args:
        levels: Array `[H, W, C]` of the picture's own numbers, to be painted on.
        coding: What they mean: `Numbers`, `Palette` or `Converted`.
        alpha: Array `[H, W]`, the part of 255 that is opaque, or `None`. Defaults
            to `None`.
        alpha_band: Int, the band of `levels` that holds the alpha, or `None`.
            Defaults to `None`.
        opaque: Number, the highest alpha in that band. Defaults to `255`.
        orientation: Int, as EXIF has it. Defaults to `1`, upright.
    """

    def __init__(
        self,
        levels,
        coding,
        alpha=None,
        alpha_band=None,
        opaque=255,
        orientation=1,
    ):
        self.upright = UPRIGHT.get(orientation, lambda x: x)
        self.levels = self.upright(levels)
        self.coding = coding
        self.alpha = None if alpha is None else self.upright(alpha)
        self.alpha_band = alpha_band
        self.opaque = opaque

    @property
    def size(self):
        """Height and width of the picture, upright."""
        return self.levels.shape[:2]

    def colors(self, box):
        """The colors of a part, float32 `[h, w, 3]` in [-1, 1]."""
        return self.coding.decode(self.levels[box])

    def paint(self, box, colors, where):
        """Gives pixels of a part other colors; all other pixels stay as they are.

        Args:
            box: Tuple of two slices, the part.
            colors: Float array `[h, w, 3]` in [-1, 1].
            where: Bool array `[h, w]`.
        """
        levels = self.coding.encode(colors[where])
        self.levels[box][where, : levels.shape[-1]] = levels

    def make_opaque(self, where):
        """Sets the alpha of pixels, if there is a band of it, to its highest."""
        if self.alpha_band is not None:
            self.levels[where, self.alpha_band] = self.opaque

    def check(self, where, name):
        """Refuses numbers that are no colors, where `where` is true."""
        if self.levels.dtype.kind != "f":
            return
        # Compared and negated, which catches NaN too.
        wrong = ~((self.levels >= 0) & (self.levels <= 1)).all(-1) & where
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise ValueError(
                f"`{name}` must lie in [0, 1] and hold no NaN outside the hole (with "
                f"`feather`, nowhere). Received: {name}[{row}, {column}]="
                f"{self.levels[row, column].tolist()}, {wrong.sum()} such pixels"
            )


# === Codings ===


class Numbers:
    """Gray or RGB, from 0 to `top`; what comes after is alpha, and is left alone."""

    def __init__(self, bands, top, dtype):
        self.is_gray = bands < 3
        self.top = top
        self.is_whole = np.dtype(dtype).kind != "f"

    def decode(self, levels):
        levels = levels[..., : 1 if self.is_gray else 3].astype("float32")
        colors = levels_to_image(levels, self.top)
        return np.repeat(colors, 3, axis=-1) if self.is_gray else colors

    def encode(self, colors):
        if self.is_gray:
            colors = colors @ LUMINANCE[:, None]
        levels = image_to_levels(colors, self.top)
        levels = np.rint(levels) if self.is_whole else levels
        return np.clip(levels, 0, self.top)


class Palette:
    """Numbers of colors in a table.

    Args:
        table: Uint8 array `[N, 3]`.
        usable: Bool array `[N]`, the colors that may be painted with.
    """

    def __init__(self, table, usable):
        from scipy.spatial import cKDTree

        self.table = levels_to_image(np.asarray(table, "float32"))
        self.numbers = np.flatnonzero(usable)
        self.tree = cKDTree(self.table[self.numbers])

    def decode(self, levels):
        return self.table[np.minimum(levels[..., 0], len(self.table) - 1)]

    def encode(self, colors):
        return self.numbers[self.tree.query(colors)[1]][:, None]


class Converted:
    """Modes that Pillow turns into RGB and back."""

    def __init__(self, mode):
        self.mode = mode

    def decode(self, levels):
        height, width = levels.shape[:2]
        part = Image.frombytes(self.mode, (width, height), levels.tobytes())
        return levels_to_image(np.asarray(part.convert("RGB"), "float32"))

    def encode(self, colors):
        levels = np.rint(image_to_levels(np.clip(colors, -1, 1))).astype("uint8")
        return np.asarray(Image.fromarray(levels[None]).convert(self.mode))[0]


# === Kinds of pictures ===


class ArrayCanvas(Canvas):
    """A canvas on a copy of an array.

    Args:
        array: Array `[H, W]`, `[H, W, 1]`, `[H, W, 3]` or `[H, W, 4]`, uint8,
            uint16 or floats in [0, 1].
        name: Str, what errors call it.

    Raises:
        ValueError: If it is of another shape or type, or has no pixel.
    """

    def __init__(self, array, name):
        is_number = array.dtype.kind == "f" or array.dtype.name in TOPS
        bands = 1 if array.ndim == 2 else array.shape[-1]
        if not is_number or array.ndim not in (2, 3) or bands not in (1, 3, 4):
            raise ValueError(
                f"`{name}` must be [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], uint8, "
                "uint16 or floats in [0, 1]. "
                f"Received: {name}.shape={array.shape}, dtype={array.dtype}"
            )
        if array.size == 0:
            raise ValueError(
                f"`{name}` must have pixels. Received: {name}.shape={array.shape}"
            )
        top = TOPS.get(array.dtype.name, 1)
        self.array = array.copy()
        levels = self.array.reshape(*array.shape[:2], bands)
        coding = Numbers(bands, top, array.dtype)
        if bands == 4:
            super().__init__(levels, coding, levels[..., 3] * (255 / top), 3, top)
        else:
            super().__init__(levels, coding)

    def finish(self):
        """The painted array, of the same shape and type."""
        return self.array


class PillowCanvas(Canvas):
    """A canvas on a copy of a Pillow image.

    Args:
        picture: `PIL.Image.Image` of a mode that has colors.
        name: Str, what errors call it.

    Raises:
        ValueError: If it is of another mode.
    """

    def __init__(self, picture, name):
        picture.load()
        self.picture = picture
        levels = np.array(picture)
        levels = levels if levels.ndim == 3 else levels[..., None]
        alpha = None
        if picture.has_transparency_data:
            opaque = picture if picture.mode == "RGBA" else picture.convert("RGBA")
            alpha = np.asarray(opaque.getchannel("A"))
        bands = picture.getbands()
        super().__init__(
            levels,
            _coding(picture, levels, name),
            alpha,
            bands.index("A") if "A" in bands else None,
            orientation=picture.getexif().get(ORIENTATION, 1),
        )
        self._stored = levels

    def finish(self):
        """The painted picture: of the same mode, size, palette and information.

        `info` holds EXIF and color profile, for whoever saves it.
        """
        painted = self.picture.copy()
        levels = self._stored
        if painted.mode == "1":
            levels = np.packbits(levels[..., 0], axis=1)
        painted.frombytes(levels.tobytes())
        exif = self.picture.getexif()
        if exif and "exif" not in painted.info:  # TIFF keeps it elsewhere.
            painted.info["exif"] = exif.tobytes()
        return painted


def _coding(picture, levels, name):
    match picture.mode:
        case "L" | "LA" | "RGB" | "RGBA":
            return Numbers(levels.shape[2], 255, "uint8")
        case "I;16" | "I;16B" | "I;16L" | "I;16N":
            return Numbers(1, 65535, "uint16")
        case "I" if 0 <= levels.min() and levels.max() <= 65535:
            return Numbers(1, 65535, "uint16")
        case "1":
            return Palette(np.array([[0] * 3, [255] * 3]), np.ones(2, bool))
        case "P" | "PA":
            return _palette_of(picture)
        case "CMYK" | "YCbCr" | "HSV":
            return Converted(picture.mode)
    raise ValueError(
        f"`{name}` must be of mode L, LA, RGB, RGBA, P, PA, 1, CMYK, YCbCr, HSV, I;16 "
        f"or I with 16 bits. Received: {name}.mode={picture.mode!r}"
    )


def _palette_of(picture):
    table = np.array(picture.getpalette("RGB"), "uint8").reshape(-1, 3)
    usable = np.ones(len(table), bool)
    hidden = picture.info.get("transparency")
    # One color's number, or a byte of alpha for each; half seen is no paint.
    if isinstance(hidden, int):
        usable[hidden : hidden + 1] = False
    elif hidden is not None:
        alpha = np.frombuffer(bytes(hidden)[: len(table)], "uint8")
        usable[: len(alpha)] = alpha == 255
    return Palette(table, usable if usable.any() else ~usable)
