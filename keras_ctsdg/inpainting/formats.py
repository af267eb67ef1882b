"""What each image format holds, and how it is encoded where no source says how."""

from typing import NamedTuple

from PIL import Image

DESCRIPTIONS = ("exif", "icc_profile", "xmp", "dpi")


class Format(NamedTuple):
    """What a format holds.

    Args:
        modes: Set of str, the modes of Pillow that it holds without loss of alpha,
            depth or color.
        metadata: Tuple of str, those of `DESCRIPTIONS` that Pillow writes to it.
        defaults: Dict, the arguments of Pillow's `save` for a new file.
        has_quality: Bool, whether it is encoded with loss, by a quality. Defaults to
            `False`.
        has_color_key: Bool, whether a color can be marked as transparent. Defaults
            to `False`.
        has_frames: Bool, whether it holds more than one image. Defaults to `False`.
    """

    modes: set
    metadata: tuple = ()
    defaults: dict = {}
    has_quality: bool = False
    has_color_key: bool = False
    has_frames: bool = False


def _modes(names):
    return set(names.split())


_JPEG = Format(
    _modes("1 L RGB CMYK YCbCr"),
    DESCRIPTIONS,
    {"quality": 95, "subsampling": 0},
    has_quality=True,
)
# What of this Pillow's formats is written, by its name.
FORMATS = {
    "AVIF": Format(
        _modes("1 L LA P PA RGB RGBA"),
        DESCRIPTIONS[:3],
        {"quality": 95, "subsampling": "4:4:4"},
        has_quality=True,
        has_color_key=True,
        has_frames=True,
    ),
    "BMP": Format(_modes("1 L P RGB RGBA"), ("dpi",)),
    "GIF": Format(_modes("1 L P"), has_color_key=True, has_frames=True),
    "HEIF": Format(
        _modes("L LA RGB RGBA"),
        DESCRIPTIONS[:3],
        {"quality": 95, "chroma": 444},
        has_quality=True,
    ),
    "JPEG": _JPEG,
    "JPEG2000": Format(_modes("L LA RGB RGBA CMYK YCbCr I;16")),
    "MPO": _JPEG._replace(has_frames=True),
    "PNG": Format(
        _modes("1 L LA P RGB RGBA I;16 16-bit"),
        DESCRIPTIONS,
        has_color_key=True,
        has_frames=True,
    ),
    "PPM": Format(_modes("1 L RGB I;16")),
    "TGA": Format(_modes("1 L LA P RGB RGBA")),
    "TIFF": Format(
        _modes("1 L LA P PA RGB RGBA CMYK YCbCr I I;16 I;16B 16-bit"),
        DESCRIPTIONS,
        has_frames=True,
    ),
    "WEBP": Format(
        _modes("1 L LA P PA RGB RGBA"),
        DESCRIPTIONS[:3],
        # By default WebP drops the colors of fully transparent pixels.
        {"lossless": True, "exact": True},
        has_quality=True,
        has_color_key=True,
        has_frames=True,
    ),
}


def list_endings():
    """Return the formats that images can be written in, by their endings.

    Returns:
        Dict of str such as `".png"` to str, a key of `FORMATS`.
    """
    known = Image.registered_extensions()
    return {x: y for x, y in known.items() if y in FORMATS and y in Image.SAVE}


def format_of_ending(path, name="path"):
    """Return the format that an ending stands for.

    Args:
        path: `pathlib.Path`.
        name: Str, what errors call the path. Defaults to `"path"`.

    Returns:
        Str, a key of `FORMATS`.

    Raises:
        ValueError: If images are not written with that ending.
    """
    endings = list_endings()
    if path.suffix.lower() not in endings:
        raise ValueError(
            f"`{name}` must end as an image format does ({' '.join(sorted(endings))}). "
            f"Received: {name}={path}"
        )
    return endings[path.suffix.lower()]


def check_can_hold(image_format, frames, path, name="path"):
    """Check that a format holds images without loss of alpha, depth or color.

    Args:
        image_format: Str, a key of `FORMATS`.
        frames: List of images with `mode` and `info`; their pixels are not read.
        path: `pathlib.Path` that the image is to be written to.
        name: Str, what errors call the path. Defaults to `"path"`.

    Raises:
        ValueError: If it does not.
    """
    for frame in frames:
        mode, is_keyed = frame.mode, frame.info.get("transparency") is not None
        if mode.startswith("I") and mode not in FORMATS[image_format].modes:
            mode = "I;16"
        able = [
            name
            for name, kind in FORMATS.items()
            if mode in kind.modes
            and (kind.has_color_key or not is_keyed)
            and (kind.has_frames or len(frames) == 1)
        ]
        # A mode of no format cannot be filled either, which has its own error.
        if able and image_format not in able:
            raise ValueError(
                f"`{name}` must end as a format that holds an image of mode {mode}"
                + (", with a transparent color" if is_keyed else "")
                + (f", {len(frames)} times" if len(frames) > 1 else "")
                + f": {', '.join(able)}. Received: {name}={path}"
            )
