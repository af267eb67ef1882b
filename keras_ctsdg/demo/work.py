"""What the page does with what it is given; without Gradio."""

import base64
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.inpainting.holes import check_mask_size
from keras_ctsdg.presets import from_preset
from keras_ctsdg.visualization import kept_information

# The long side that the browser gets to see and paint on.
SHOWN = 1024
PREFIX = "data:image/png;base64,"
PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")


class Filled(NamedTuple):
    """A filled picture, and how many of its pixels were the hole."""

    picture: Image.Image
    pixels: int


def fill(
    model,
    image,
    strokes=None,
    mask=None,
    strategy="auto",
    memory_limit=3.0,
    max_megapixels=64,
):
    """Fills what is painted over in a picture, and what is white in a mask.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        image: Path of a picture, or `None` if there is none yet.
        strokes: Uint8 array `[H, W]` of the size of the picture's `shrink`, 255
            where it is painted over. Defaults to `None`.
        mask: Path of a mask of the picture's size, white in the hole. Defaults to
            `None`.
        strategy, memory_limit: As `CTSDG.inpaint` takes them.
        max_megapixels: Number, the largest picture that is read. Defaults to `64`.

    Returns:
        `Filled`: the picture at its own size, in its own mode, and the number of
        pixels in the hole. All others are what they were.

    Raises:
        ValueError: If there is no picture or no hole, or as `CTSDG.inpaint` says.
    """
    if not image:
        raise ValueError("There must be a picture: drop one, or take an example.")
    check_upload(image, "image", max_megapixels)
    picture = ImageFiles([image], "image").load_original(0)
    levels = _enlarge(strokes, read_shown(image))
    if mask:
        check_upload(mask, "mask", max_megapixels)
        white = np.asarray(ImageFiles([mask], "mask").load(0, "L"))
        check_mask_size(white.shape, levels.shape, "mask")
        levels = np.maximum(levels, white)
    hole = levels >= 128
    if not hole.any():
        raise ValueError(
            "There must be a hole: paint over what shall go, or give a mask with "
            "white in it."
        )
    filled = model.inpaint(
        picture,
        hole.astype("uint8") * 255,
        strategy=strategy,
        memory_limit=memory_limit,
    )
    return Filled(filled, int(hole.sum()))


def _enlarge(strokes, shown):
    """What is painted over, at the picture's size, uint8 `[H, W]`."""
    if strokes is None:
        return np.zeros((shown.height, shown.width), "uint8")
    check_mask_size(strokes.shape, shrink(shown).size[::-1], "strokes")
    strokes = Image.fromarray(strokes)
    return np.asarray(strokes.resize(shown.size, Image.Resampling.BILINEAR))


def check_upload(path, name, max_megapixels):
    """Refuses a picture of too many pixels before it is decoded.

    Args:
        path: Path of the file.
        name: Str, what errors call it.
        max_megapixels: Number, millions of pixels.

    Raises:
        ValueError: If it has more, or is no picture.
    """
    width, height = ImageFiles([path], name).size(0)
    if width * height > max_megapixels * 1e6:
        raise ValueError(
            f"`{name}` must have at most {max_megapixels:g} megapixels (the option "
            f"--max-megapixels). Received: {width} x {height}, "
            f"{width * height / 1e6:.1f} megapixels"
        )


def read_shown(image):
    """A picture, or a path's, as it is shown: upright, in 8 bits, on white."""
    return ImageFiles([image], "image").load(0)


def shrink(picture):
    """A copy for the browser, no side above `SHOWN`."""
    copy = picture.copy()
    copy.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    return copy


def data_url(picture):
    """A picture as the browser takes it within a page."""
    file = BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return PREFIX + base64.b64encode(file.getvalue()).decode()


def read_strokes(painted):
    """What the browser sends of a canvas: a data URL of a PNG, or nothing.

    Returns:
        Uint8 array `[H, W]`, how opaque it is, or `None`.

    Raises:
        ValueError: If it is neither.
    """
    if not painted:
        return None
    try:
        data = base64.b64decode(painted.removeprefix(PREFIX), validate=True)
        with Image.open(BytesIO(data), formats=["PNG"]) as picture:
            if max(picture.size) <= SHOWN:
                return np.asarray(picture.convert("RGBA").getchannel("A"))
            reason = f"{picture.width} x {picture.height} pixels"
    except (AttributeError, OSError, ValueError) as error:
        reason = str(error)
    raise ValueError(
        f"`strokes` must be a PNG with no side above {SHOWN}. Received: {reason}"
    )


def write_png(picture, path):
    """Writes a picture as PNG, upright, as not all viewers turn a PNG.

    EXIF and profile go with it. Modes that PNG doesn't know become RGB.
    """
    picture = ImageOps.exif_transpose(picture)
    kept = kept_information(picture)
    if picture.mode.startswith("I"):
        levels = np.asarray(picture).astype("uint16")
        picture = Image.fromarray(levels)
    elif picture.mode not in PNG_MODES:
        picture = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
        # It was that of other inks.
        kept.pop("icc_profile", None)
    picture.save(path, "PNG", **kept)


class Models:
    """Presets by name; the one used last stays loaded.

    Args:
        names: List of str, as `from_preset` takes them.

    Raises:
        ValueError: If there is no name, or the first can't be loaded.
    """

    def __init__(self, names):
        if not names:
            raise ValueError(
                "There must be a preset: none is installed. Name a preset's folder "
                "or a `.keras` file, such as `keras-ctsdg quickstart` writes."
            )
        self.names = list(dict.fromkeys(names))
        self._name = None
        self.get(self.names[0])

    def get(self, name):
        """The model of one of the names."""
        if name not in self.names:
            raise ValueError(
                f"The preset must be one of {self.names}. Received: {name}"
            )
        if name != self._name:
            self._model = from_preset(name, with_discriminator=False)
            self._name = name
        return self._model
