"""Copies of images of any kind, whose pixels can be replaced one by one."""

import warnings

import numpy as np
from PIL import Image

from keras_ctsdg.data.sources import is_bytes, is_path
from keras_ctsdg.inpainting.codecs import LevelsCodec, codec_of
from keras_ctsdg.inpainting.image16 import Image16
from keras_ctsdg.inpainting.options import Frames
from keras_ctsdg.inpainting.previews import remove_previews
from keras_ctsdg.inpainting.stored_images import ORIENTATION_TAG, read_stored_image

# Views that turn an image upright, by its EXIF orientation. Views share memory with
# the stored rows, so that pixels replaced in the view are replaced in the image.
UPRIGHT_VIEWS = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x.swapaxes(0, 1)[:, ::-1],
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x.swapaxes(0, 1)[::-1],
}
INTEGER_TOPS = {"uint8": 255, "uint16": 65535}


class EditableImage:
    """A copy of an image, seen upright, whose pixels can be replaced.

    Args:
        pixels: Array `[H, W, bands]`, the image's own pixels, which are edited.
        codec: Codec of the pixels, from `keras_ctsdg.inpainting.codecs`.
        alpha: Array `[H, W]`, the opacity in [0, 255], or `None`. Defaults to
            `None`.
        alpha_band: Int, the band of `pixels` that holds the alpha, or `None`.
            Defaults to `None`.
        opaque: Number, the value of full opacity in that band. Defaults to `255`.
        orientation: Int, the EXIF orientation. Defaults to `1`, upright.
    """

    def __init__(
        self,
        pixels,
        codec,
        alpha=None,
        alpha_band=None,
        opaque=255,
        orientation=1,
    ):
        self.turn_upright = UPRIGHT_VIEWS.get(orientation, lambda x: x)
        self.pixels = self.turn_upright(pixels)
        self.codec = codec
        self.alpha = None if alpha is None else self.turn_upright(alpha)
        self.alpha_band = alpha_band
        self.opaque = opaque

    @property
    def size(self):
        """Tuple `(height, width)` of the upright image."""
        return self.pixels.shape[:2]

    def read_colors(self, box):
        """Return the colors in a box.

        Args:
            box: Tuple of two slices, the rows and the columns.

        Returns:
            Float32 array `[h, w, 3]` in [-1, 1].
        """
        return self.codec.decode(self.pixels[box])

    def replace_colors(self, box, colors, where):
        """Replace pixels in a box; all other pixels keep their values.

        Args:
            box: Tuple of two slices, the rows and the columns.
            colors: Float array `[h, w, 3]` in [-1, 1].
            where: Bool array `[h, w]`, true for the pixels to replace.
        """
        pixels = self.codec.encode(colors[where])
        self.pixels[box][where, : pixels.shape[-1]] = pixels

    def make_opaque(self, where):
        """Make pixels fully opaque, if the image has an alpha band.

        Args:
            where: Bool array `[H, W]`.
        """
        if self.alpha_band is not None:
            self.pixels[where, self.alpha_band] = self.opaque

    def check_range(self, where, name):
        """Check that floats are in [0, 1].

        Args:
            where: Bool array `[H, W]`, true for the pixels to check.
            name: Str, what errors call the image.

        Raises:
            ValueError: If one of these pixels is out of range or NaN.
        """
        if self.pixels.dtype.kind != "f":
            return
        # The comparison is false for NaN, so its negation reports NaN too.
        wrong = ~((self.pixels >= 0) & (self.pixels <= 1)).all(-1) & where
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise ValueError(
                f"`{name}` must lie in [0, 1] and hold no NaN outside the hole (with "
                f"`feather`, nowhere). Received: {name}[{row}, {column}]="
                f"{self.pixels[row, column].tolist()}, {wrong.sum()} such pixels"
            )


class EditableArray(EditableImage):
    """An editable copy of an array.

    Args:
        array: Array `[H, W]`, `[H, W, 1]`, `[H, W, 3]` or `[H, W, 4]`, uint8,
            uint16 or floats in [0, 1].
        name: Str, what errors call the array.

    Raises:
        ValueError: If the array has another shape or dtype, or no pixels.
    """

    def __init__(self, array, name):
        is_supported = array.dtype.kind == "f" or array.dtype.name in INTEGER_TOPS
        bands = 1 if array.ndim == 2 else array.shape[-1]
        if not is_supported or array.ndim not in (2, 3) or bands not in (1, 3, 4):
            raise ValueError(
                f"`{name}` must be [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], uint8, "
                "uint16 or floats in [0, 1]. "
                f"Received: {name}.shape={array.shape}, dtype={array.dtype}"
            )
        if array.size == 0:
            raise ValueError(
                f"`{name}` must have pixels. Received: {name}.shape={array.shape}"
            )
        top = INTEGER_TOPS.get(array.dtype.name, 1)
        self.array = array.copy()
        pixels = self.array.reshape(*array.shape[:2], bands)
        codec = LevelsCodec(bands, top, array.dtype)
        if bands == 4:
            super().__init__(pixels, codec, pixels[..., 3] * (255 / top), 3, top)
        else:
            super().__init__(pixels, codec)

    def result(self):
        """Return the edited array, of the original shape and dtype."""
        return self.array


class EditablePillowImage(EditableImage):
    """An editable copy of a Pillow image.

    Args:
        image: `PIL.Image.Image` of a mode that `codec_of` supports.
        name: Str, what errors call the image.

    Raises:
        ValueError: If the image is of another mode.
    """

    def __init__(self, image, name):
        image.load()
        self.image = image
        pixels = np.array(image)
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        alpha = None
        if image.has_transparency_data:
            # Pillow's conversion changes the palette of the image that it converts.
            alpha = np.asarray(image.copy().convert("RGBA").getchannel("A"))
        bands = image.getbands()
        super().__init__(
            pixels,
            codec_of(image, pixels, name),
            alpha,
            bands.index("A") if "A" in bands else None,
            orientation=image.getexif().get(ORIENTATION_TAG, 1),
        )
        self._stored_pixels = pixels

    def result(self):
        """Return the edited image, of the original mode, size and palette.

        Its `info` holds the original metadata, without previews of the image.
        """
        edited = self.image.copy()
        pixels = self._stored_pixels
        if edited.mode == "1":
            pixels = np.packbits(pixels[..., 0], axis=1)
        edited.frombytes(pixels.tobytes())
        exif = self.image.getexif()
        # Pillow reads the EXIF block of a TIFF from its tags, not from `info`.
        if exif and "exif" not in edited.info:
            edited.info["exif"] = exif.tobytes()
        edited.info = remove_previews(edited.info)
        return edited


class EditableImage16(EditableImage):
    """An editable copy of an `Image16`.

    Args:
        image: `Image16`.
    """

    def __init__(self, image):
        self.image = image
        self._stored_pixels = image.array.copy()
        bands = self._stored_pixels.shape[2]
        top = INTEGER_TOPS["uint16"]
        codec = LevelsCodec(bands, top, "uint16")
        alpha = self._stored_pixels[..., -1] * (255 / top) if bands in (2, 4) else None
        band = None if alpha is None else bands - 1
        super().__init__(
            self._stored_pixels, codec, alpha, band, top, image.orientation
        )

    def result(self):
        """Return the edited image, an `Image16`."""
        return self.image.replace(self._stored_pixels)


def open_editable(image, name):
    """Open an image for editing.

    Args:
        image: Path, bytes, open file, PIL image or array.
        name: Str, what errors call the image.

    Returns:
        `EditableImage`.

    Raises:
        ValueError: If the image is of no supported kind or cannot be read.
    """
    if is_path(image) or is_bytes(image):
        image = _read_first_frame(image, name)
    if isinstance(image, Image16):
        return EditableImage16(image)
    if isinstance(image, Image.Image):
        return EditablePillowImage(image, name)
    if not hasattr(image, "shape"):
        raise ValueError(
            f"`{name}` must be a path, a PIL image or an array. "
            f"Received: {name} of type {type(image).__name__}"
        )
    return EditableArray(np.asarray(image), name)


def _read_first_frame(path, name):
    source = read_stored_image(path, Frames.FIRST, name)
    for note in source.notes:
        # The caller of `CTSDG.inpaint`.
        warnings.warn(f"`{name}`: {note}", stacklevel=6)
    return source.frames[0]
