"""Conversions between the stored pixels of an image and colors in [-1, 1]."""

import numpy as np
from PIL import Image

from keras_ctsdg.conventions import image_to_levels, levels_to_image
from keras_ctsdg.data.edges import LUMINANCE
from keras_ctsdg.visualization import image_to_uint8


class LevelsCodec:
    """Codec of gray and RGB pixels; bands after them, such as alpha, are ignored.

    Args:
        bands: Int, the number of bands of a pixel.
        top: Number, the level of white.
        dtype: Dtype of the levels.
    """

    def __init__(self, bands, top, dtype):
        self.is_gray = bands < 3
        self.top = top
        self.is_integer = np.dtype(dtype).kind != "f"

    def decode(self, pixels):
        """Convert pixels `[h, w, bands]` to float32 colors `[h, w, 3]`."""
        levels = pixels[..., : 1 if self.is_gray else 3].astype("float32")
        colors = levels_to_image(levels, self.top)
        return np.repeat(colors, 3, axis=-1) if self.is_gray else colors

    def encode(self, colors):
        """Convert colors `[N, 3]` to pixels `[N, 1]` or `[N, 3]`."""
        if self.is_gray:
            colors = colors @ LUMINANCE[:, None]
        levels = image_to_levels(colors, self.top)
        levels = np.rint(levels) if self.is_integer else levels
        return np.clip(levels, 0, self.top)


class PaletteCodec:
    """Codec of pixels that are indices into a table of colors.

    Args:
        table: Uint8 array `[N, 3]`, the colors.
        usable: Bool array `[N]`, the colors that a hole may be filled with.
    """

    def __init__(self, table, usable):
        from scipy.spatial import cKDTree

        self.table = levels_to_image(np.asarray(table, "float32"))
        self.indices = np.flatnonzero(usable)
        self.tree = cKDTree(self.table[self.indices])

    def decode(self, pixels):
        """Convert indices `[h, w, 1 or more]` to float32 colors `[h, w, 3]`."""
        return self.table[np.minimum(pixels[..., 0], len(self.table) - 1)]

    def encode(self, colors):
        """Convert colors `[N, 3]` to the indices `[N, 1]` of the nearest colors."""
        return self.indices[self.tree.query(colors)[1]][:, None]


class PillowCodec:
    """Codec of the modes that Pillow converts to RGB and back.

    Args:
        mode: Str, a mode of Pillow with 8 bits per band.
    """

    def __init__(self, mode):
        self.mode = mode

    def decode(self, pixels):
        """Convert pixels `[h, w, bands]` to float32 colors `[h, w, 3]`."""
        height, width = pixels.shape[:2]
        image = Image.frombytes(self.mode, (width, height), pixels.tobytes())
        return levels_to_image(np.asarray(image.convert("RGB"), "float32"))

    def encode(self, colors):
        """Convert colors `[N, 3]` to pixels `[N, bands]`."""
        row = Image.fromarray(image_to_uint8(colors)[None])
        return np.asarray(row.convert(self.mode))[0]


def codec_of(image, pixels, name):
    """Return the codec of a Pillow image.

    Args:
        image: `PIL.Image.Image`.
        pixels: Array `[H, W, bands]`, its pixels.
        name: Str, what errors call the image.

    Raises:
        ValueError: If the mode of the image is not supported.
    """
    match image.mode:
        case "L" | "LA" | "RGB" | "RGBA":
            return LevelsCodec(pixels.shape[2], 255, "uint8")
        case "I;16" | "I;16B" | "I;16L" | "I;16N":
            return LevelsCodec(1, 65535, "uint16")
        case "I" if 0 <= pixels.min() and pixels.max() <= 65535:
            return LevelsCodec(1, 65535, "uint16")
        case "1":
            return PaletteCodec(np.array([[0] * 3, [255] * 3]), np.ones(2, bool))
        case "P" | "PA":
            return _palette_codec(image)
        case "CMYK" | "YCbCr" | "HSV":
            return PillowCodec(image.mode)
    raise ValueError(
        f"`{name}` must be of mode L, LA, RGB, RGBA, P, PA, 1, CMYK, YCbCr, HSV, I;16 "
        f"or I with 16 bits. Received: {name}.mode={image.mode!r}"
    )


def _palette_codec(image):
    table = np.array(image.getpalette("RGB"), "uint8").reshape(-1, 3)
    usable = np.ones(len(table), bool)
    transparency = image.info.get("transparency")
    # Pillow gives the index of one transparent color, or an alpha byte per color.
    # Colors that are only partly opaque would leave the hole visible.
    if isinstance(transparency, int):
        usable[transparency : transparency + 1] = False
    elif transparency is not None:
        alpha = np.frombuffer(bytes(transparency)[: len(table)], "uint8")
        usable[: len(alpha)] = alpha == 255
    return PaletteCodec(table, usable if usable.any() else ~usable)
