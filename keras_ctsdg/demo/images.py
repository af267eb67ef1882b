"""Images on their way to the browser and back."""

import base64
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from keras_ctsdg.data.images import ImageError, ImageFiles
from keras_ctsdg.inpainting.files import metadata_to_save

# The longest side of an image that the browser shows and that users paint on.
PREVIEW_SIZE = 1024
PNG_PREFIX = "data:image/png;base64,"
PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")


def check_upload(path, name, max_megapixels):
    """Check the size of an image before it is decoded.

    Args:
        path: Path of the file.
        name: Str, what errors call it.
        max_megapixels: Number, the limit in millions of pixels.

    Raises:
        ValueError: If the image exceeds the limit, or the file is no image.
    """
    try:
        width, height = ImageFiles([path], name).size(0)
        if width * height <= max_megapixels * 1e6:
            return
        received = f"{width} x {height}, {width * height / 1e6:.1f} megapixels"
    except ImageError as error:
        if not isinstance(error.__cause__, Image.DecompressionBombError):
            raise
        # Pillow has a limit of its own.
        received = str(error.__cause__)
    raise ValueError(
        f"`{name}` must have at most {max_megapixels:g} megapixels (the option "
        f"--max-megapixels). Received: {received}"
    )


def to_displayable(image):
    """Convert an image, or the file of one, for display.

    Args:
        image: Path or `PIL.Image.Image`.

    Returns:
        `PIL.Image.Image`: upright, 8-bit RGB, on a white background.
    """
    return ImageFiles([image], "image").load(0)


def make_preview(image):
    """Return a copy for the browser, no side longer than `PREVIEW_SIZE`."""
    preview = image.copy()
    preview.thumbnail((PREVIEW_SIZE, PREVIEW_SIZE), Image.Resampling.LANCZOS)
    return preview


def to_data_url(image):
    """Encode an image as the data URL of a PNG."""
    file = BytesIO()
    image.save(file, "PNG", compress_level=1)
    return PNG_PREFIX + base64.b64encode(file.getvalue()).decode()


def decode_strokes(data_url):
    """Decode the brush strokes that the browser sends.

    Args:
        data_url: Str, the data URL of a PNG, or `""` if nothing is painted.

    Returns:
        Uint8 array `[H, W]`, the strokes' opacity; `None` if nothing is painted.

    Raises:
        ValueError: If `data_url` is anything else.
    """
    if not data_url:
        return None
    try:
        data = base64.b64decode(data_url.removeprefix(PNG_PREFIX), validate=True)
        with Image.open(BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) <= PREVIEW_SIZE:
                return np.asarray(image.convert("RGBA").getchannel("A"))
            reason = f"{image.width} x {image.height} pixels"
    except (
        AttributeError,
        Image.DecompressionBombError,
        OSError,
        ValueError,
    ) as error:
        reason = str(error)
    raise ValueError(
        f"`strokes` must be a PNG with no side above {PREVIEW_SIZE}. Received: {reason}"
    )


def write_png(image, path):
    """Write an image as a PNG, upright, with its EXIF block and color profile.

    Modes that PNG does not support are converted to RGB or RGBA.

    Args:
        image: `PIL.Image.Image`.
        path: Path of the file.
    """
    # Not all viewers heed the EXIF orientation of a PNG.
    image = ImageOps.exif_transpose(image)
    metadata = metadata_to_save(image)
    if image.mode.startswith("I"):
        image = Image.fromarray(np.asarray(image).astype("uint16"))
    elif image.mode not in PNG_MODES:
        image = image.convert("RGBA" if "A" in image.getbands() else "RGB")
        # The profile described the colors of the original mode.
        metadata.pop("icc_profile", None)
    image.save(path, "PNG", **metadata)
