"""Image files as they are stored: all frames, every bit, and how they were encoded."""

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from keras_ctsdg.data.images import ImageError, ImageFiles
from keras_ctsdg.inpainting.animations import (
    ANIMATIONS,
    read_playback,
    to_common_mode,
)
from keras_ctsdg.inpainting.containers import read_avif_config, read_jpeg2000_bits
from keras_ctsdg.inpainting.encodings import read_encoding
from keras_ctsdg.inpainting.image16 import (
    Image16,
    import_imagecodecs,
    read_png16,
    read_tiff16,
)
from keras_ctsdg.inpainting.options import Frames

ORIENTATION_TAG = 0x0112
BITS_PER_SAMPLE = 258


@dataclass
class StoredImage:
    """An image file as it is stored.

    Args:
        path: `pathlib.Path` of the file, or `None` for one in memory.
        format: Str, Pillow's name of its format, whatever its ending says.
        frames: List of `PIL.Image.Image` or `Image16`.
        info: Dict, the metadata of the first frame.
        encodings: List of dicts of arguments of Pillow's `save` that encode alike; one
            for each image of a file of independent images, else one.
        playback: Dict, how an animation is played, from `read_playback`.
        text: Dict, the text of a PNG.
        notes: List of str, what of the file is not in `frames`.
    """

    path: Path | None
    format: str
    frames: list
    info: dict
    encodings: list
    playback: dict = field(default_factory=dict)
    text: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)


def read_stored_image(path, frames=Frames.ONE, name="image"):
    """Read an image file.

    Args:
        path: Path of the file; or its bytes or an open file, as far as `ImageFiles`
            takes them.
        frames: As `keras_ctsdg.inpainting.FileOptions` documents it. Defaults to
            `"one"`.
        name: Str, what errors call the file. Defaults to `"image"`.

    Returns:
        `StoredImage`.

    Raises:
        ImageError: If it is not an image, damaged or too large, has more bits a
            channel than can be read, or more frames than `frames` allows.
    """
    with _open(path, frames, name) as (image, count, is_deep):
        path = Path(path) if isinstance(path, (str, os.PathLike)) else None
        if is_deep:
            return _read_deep(image, path)
        source = StoredImage(path, image.format, [], {}, [])
        wanted = count if frames == Frames.ALL else 1
        for i in range(wanted):
            _read_frame(image, i, count, source)
        source.info = source.frames[0].info
        if wanted > 1 and image.format in ANIMATIONS:
            source.playback = read_playback(image, source.frames)
            source.frames = to_common_mode(source.frames)
        source.text = {
            key: x
            for key, x in getattr(image, "text", {}).items()
            if key != "XML:com.adobe.xmp"
        }
        source.notes = _note_losses(image, count, wanted)
    return source


def read_header(path, frames=Frames.ONE, name="image"):
    """Read what of an image file is known without its pixels.

    Args:
        path, frames, name: As `read_stored_image` takes them.

    Returns:
        `StoredImage` whose frames have `mode` and `info` alone.

    Raises:
        ImageError: As `read_stored_image` raises it.
    """
    with _open(path, frames, name) as (image, count, is_deep):
        frame = SimpleNamespace(
            mode=Image16.mode if is_deep else image.mode, info=image.info
        )
        found = [frame] * (count if frames == Frames.ALL else 1)
        return StoredImage(Path(path), image.format, found, image.info, [])


@contextmanager
def _open(path, frames, name):
    """Open a file and return the image, its number of frames, and whether it is deep.

    Raises:
        ImageError: As `read_stored_image` raises it.
    """
    with ImageFiles([path], name).open(0) as image:
        count = getattr(image, "n_frames", 1)
        # An MPO is a photo with a preview or a second view of the same scene.
        if count > 1 and frames == Frames.ONE and image.format != "MPO":
            raise ImageError(
                f'it has {count} frames, of which `frames="first"` fills the first, '
                'and `frames="all"` all'
            )
        is_deep = _is_deep(image)
        if is_deep and count > 1:
            raise ImageError("it has 16 bits a channel and more than one frame")
        if is_deep and image.format == "PNG":
            import_imagecodecs()
        yield image, count, is_deep


def _note_losses(image, count, wanted):
    if count > wanted:
        return [f"Of its {count} images or frames, the first is kept."]
    if image.format == "JPEG" and "mp" in image.info:
        return ["The images that are appended to it, such as a gain map, are not kept."]
    return []


# === Frames ===


def _read_frame(image, index, count, source):
    if count > 1:
        image.seek(index)
    image.load()
    if index == 0 or image.format not in ANIMATIONS:
        # What is only in memory has no file that another is to be like.
        known = {} if source.path is None else read_encoding(image, source.path)
        source.encodings.append(known)
    frame = image if count == 1 else image.copy()
    if count > 1:
        frame.info["duration"] = image.info.get("duration", 0)
    if image.format == "TIFF" and source.path is not None:
        # Pillow has the tags of a TIFF nowhere in `info`.
        frame.info["exif"] = source.encodings[-1]["exif"].tobytes()
    source.frames.append(frame)


# === More than 8 bits a channel ===


def _is_deep(image):
    """Return whether Pillow drops bits of an image's channels.

    Raises:
        ImageError: If it does, and the format is not read otherwise.
    """
    arguments = str(image.tile[0][3]) if image.tile else ""
    if image.format == "PNG":
        return ";16" in arguments and not image.mode.startswith("I")
    if image.format == "TIFF":
        bits = max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))
        if not 8 < bits < 16:
            return bits > 8 and not image.mode.startswith(("I", "F"))
    else:
        bits = image.info.get("bit_depth", 8)
    if image.format == "PPM" and image.mode == "RGB":
        levels = re.search(r", (\d+)\)", arguments)
        bits = (int(levels[1]) if levels else 255).bit_length()
    elif image.format == "AVIF":
        bits = read_avif_config(image.fp).bits
    elif image.format == "JPEG2000" and image.mode != "I;16":
        bits = read_jpeg2000_bits(image.fp)
    if bits > 8:
        raise ImageError(
            f"it has {bits} bits a channel, of which {image.format} files are read "
            "with 8 only: convert it to a PNG or TIFF of 16 bits, or to 8 bits"
        )
    return False


def _read_deep(image, path):
    info = image.info
    if image.format == "PNG":
        position = image.fp.tell()
        pixels = read_png16(image.fp, info)
        # Pillow reads the rest of the file for the EXIF block.
        image.fp.seek(position)
        pixels.orientation = image.getexif().get(ORIENTATION_TAG, 1)
    else:
        exif = read_encoding(image, path)["exif"]
        if 34665 in exif or 34853 in exif:
            info["exif"] = exif.tobytes()
        pixels = read_tiff16(image.fp, info)
    return StoredImage(path, image.format, [pixels], info, [{}])
