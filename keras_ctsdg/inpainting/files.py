"""Image files that keep their metadata and are never left half-written."""

import os
import shutil

from PIL import Image

METADATA = ("exif", "icc_profile", "xmp", "dpi", "transparency")
JPEG_QUALITY = 95


def metadata_to_save(image):
    """Return the metadata of an image as keyword arguments of its `save` method.

    Args:
        image: `PIL.Image.Image`.

    Returns:
        Dict of those of `exif`, `icc_profile`, `xmp`, `dpi` and `transparency` that
        the image has.
    """
    return {name: image.info[name] for name in METADATA if image.info.get(name)}


def save_image(image, path):
    """Write an image with its metadata, atomically.

    EXIF, color profile, XMP and resolution are written as far as the format holds
    them. JPEGs are written at quality 95. An interruption leaves no partial file at
    `path`, and an existing file stays until the new one is complete.

    Args:
        image: `PIL.Image.Image`.
        path: `pathlib.Path` whose ending names the format; missing folders are made.

    Raises:
        OSError: If the image cannot be written.
        ValueError: If no format has that ending, or it cannot hold the mode.
    """
    formats = Image.registered_extensions()
    if path.suffix.lower() not in formats:
        raise ValueError(
            f"`path` must end as an image format does. Received: path={path}"
        )
    image_format = formats[path.suffix.lower()]
    options = metadata_to_save(image)
    # Pillow ignores the quality for formats that have none.
    options["quality"] = JPEG_QUALITY
    if image_format in ("JPEG", "MPO"):
        options["subsampling"] = 0
    if image_format == "WEBP" and image.mode == "RGBA":
        # By default WebP drops the colors of fully transparent pixels.
        options["exact"] = True
    _write_atomically(path, lambda part: image.save(part, image_format, **options))


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
