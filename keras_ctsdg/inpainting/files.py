"""Image files that keep encoding and metadata and are never left half-written."""

import os
import shutil
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from keras_ctsdg.inpainting.animations import playback_arguments
from keras_ctsdg.inpainting.containers import replace_png_pixels
from keras_ctsdg.inpainting.encodings import save_arguments
from keras_ctsdg.inpainting.formats import (
    DESCRIPTIONS,
    FORMATS,
    check_can_hold,
    format_of_ending,
)
from keras_ctsdg.inpainting.image16 import Image16, write_png16, write_tiff16
from keras_ctsdg.inpainting.options import Frames
from keras_ctsdg.inpainting.stored_images import StoredImage, read_stored_image


def metadata_to_save(image):
    """Return the metadata of an image as keyword arguments of its `save` method.

    Args:
        image: `PIL.Image.Image`.

    Returns:
        Dict of those of `exif`, `icc_profile`, `xmp`, `dpi` and `transparency` that
        the image has.
    """
    names = (*DESCRIPTIONS, "transparency")
    return {name: image.info[name] for name in names if image.info.get(name)}


def save_image(image, path, like=None, quality=None):
    """Write an image as another file was encoded, atomically.

    Formats without loss hold every pixel bit for bit: PNG, TIFF, BMP, GIF, PPM, TGA,
    JPEG 2000, and WebP unless `like` is a lossy one. JPEG, AVIF and lossy WebP encode
    the whole image again: pixels outside a hole stay as near to `like` as its own
    encoding was to the photo. A JPEG gets the quantization tables, the chroma
    subsampling and the progressive flag of `like`; AVIF and WebP its subsampling and
    the quality at which they reach its size. Where `like` is of another format, or
    `None`, JPEG and AVIF are written at quality 95 with full chroma.

    Text, EXIF, color profile, XMP and resolution are those of `like`, or without it
    of `image.info`, as far as the format has them. An interruption leaves no partial
    file at `path`, and an existing file stays until the new one is complete.

    Args:
        image: `PIL.Image.Image`, an image of 16 bits a channel as `CTSDG.inpaint`
            returns it, or a list of the frames of `like`.
        path: Path whose ending names the format; missing folders are made. With the
            ending of `like`, the format is that of `like`, whatever the ending says.
        like: Path of the image that was filled. Defaults to `None`.
        quality: Int in [1, 100], the quality of JPEG, WebP, AVIF and HEIF, or `None`
            for that of `like`. Defaults to `None`.

    Raises:
        OSError: If the image cannot be written.
        ValueError: If no format has that ending, or it cannot hold the image.

    Example:

    ```python
    filled = model.inpaint("photo.webp", "mask.png")
    keras_ctsdg.inpainting.save_image(filled, "filled.webp", like="photo.webp")
    ```
    """
    path = Path(path)
    frames = list(image) if isinstance(image, (list, tuple)) else [image]
    source = like
    if like is not None and not isinstance(like, StoredImage):
        source = read_stored_image(
            like, Frames.ALL if len(frames) > 1 else Frames.FIRST
        )
    image_format = choose_format(path, source)
    check_can_hold(image_format, frames, path)
    write = _write_16 if isinstance(frames[0], Image16) else _write_pillow
    _write_atomically(
        path, lambda part: write(frames, part, image_format, source, quality)
    )


def choose_format(path, source=None, name="path"):
    """Return the format in which an image is written.

    Args:
        path: `pathlib.Path` to write to.
        source: `StoredImage`, or `None`. Defaults to `None`.
        name: Str, what errors call the path. Defaults to `"path"`.

    Returns:
        Str, a key of `FORMATS`.

    Raises:
        ValueError: If no format has that ending.
    """
    # A file may be of another format than its ending says, and stays so.
    if source is not None and source.format in FORMATS:
        if source.path.suffix.lower() == path.suffix.lower():
            return source.format
    return format_of_ending(path, name)


def _write_pillow(frames, part, image_format, source, quality):
    frames = [_to_saved_mode(frame, image_format) for frame in frames]
    options = save_arguments(source, frames[0], image_format, quality)
    if len(frames) > 1:
        playback = source.playback if source is not None else {}
        options |= playback_arguments(image_format, frames, playback)
    if image_format in ("MPO", "TIFF"):
        quality = options.get("quality", quality)
        for i, frame in enumerate(frames[1:], start=1):
            # Pillow adds the arguments of the first image where one has none.
            frame.encoderinfo = dict.fromkeys(options) | save_arguments(
                source, frame, image_format, quality, i
            )
    if source is not None and image_format == source.format == "PNG":
        options = {x: y for x, y in options.items() if x not in DESCRIPTIONS}
        encoded = BytesIO()
        frames[0].save(encoded, "PNG", **options)
        stored = source.path.read_bytes()
        part.write_bytes(replace_png_pixels(stored, encoded.getvalue()))
        return
    with _room_for(frames[0]) if options.get("optimize") else nullcontext():
        frames[0].save(part, image_format, **options)


@contextmanager
def _room_for(image):
    """Let Pillow's buffer hold an image, as the encoder of optimized JPEGs demands."""
    before = ImageFile.MAXBLOCK
    ImageFile.MAXBLOCK = max(before, 8 * image.width * image.height)
    try:
        yield
    finally:
        ImageFile.MAXBLOCK = before


def _write_16(frames, part, image_format, source, quality):
    write = write_png16 if image_format == "PNG" else write_tiff16
    like = None
    if source is not None and source.format == image_format:
        like = source.path
    write(frames[0], part, like)


def _to_saved_mode(image, image_format):
    """Return an image in a mode that Pillow writes; 16 bits are stored in many."""
    if not image.mode.startswith("I") or image_format == "TIFF":
        return image
    saved = Image.fromarray(np.asarray(image).astype("uint16"))
    saved.info = image.info
    return saved


def copy_image(source, path):
    """Copy a file atomically.

    Args:
        source: Path of the file.
        path: `pathlib.Path` of the copy; missing folders are made.

    Raises:
        OSError: If the file cannot be copied.
    """
    _write_atomically(path, lambda part: shutil.copyfile(source, part))


def _write_atomically(path, write):
    path.parent.mkdir(parents=True, exist_ok=True)
    # With a fixed name, the next run overwrites what a killed run left.
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
