"""Read images of any kind by index, from a folder, a zip or a list."""

import os
import zipfile
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps

EXTENSIONS = (
    ".avif .bmp .gif .jfif .jp2 .jpe .jpeg .jpg .mpo .pbm .pgm .png .pnm .ppm .tif "
    ".tiff .webp"
).split()
# Without PostScript, for which Pillow would start another program.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF")
FORMATS += ("WEBP",)
# Members of a zip are unpacked whole; images within Pillow's limit need no more.
MAX_BYTES = 2**30


class ImageError(ValueError):
    """An image or a mask that cannot be used; the message names it."""


class ImageFiles:
    """Images by index, each read when it is asked for.

    Args:
        source: Path of a folder (searched to any depth, in the order of the names),
            of a zip (read in place) or of a single image; or a list of paths,
            `PIL.Image.Image`s or arrays: `[H, W]`, `[H, W, 3]` or `[H, W, 4]`,
            uint8, bool, or floats in [0, 1].
        argument: Str, the name of the argument in errors. Defaults to `"images"`.

    Raises:
        ValueError: If the source does not exist or contains no image.
    """

    def __init__(self, source, argument="images"):
        self.argument = argument
        if isinstance(source, (str, os.PathLike)):
            self.entries = _list_path(Path(source), argument)
        else:
            self.entries = [
                _entry(image, i, argument) for i, image in enumerate(source)
            ]
        if not self.entries:
            raise ValueError(
                f"`{argument}` must contain an image ({' '.join(EXTENSIONS)}). "
                f"Received: {argument}={source}"
            )

    def __len__(self):
        return len(self.entries)

    def name(self, index):
        """Return the name of an image: its path, or its index in the list."""
        return self.entries[index].name

    def size(self, index):
        """Return the width and height of an image as stored, without decoding it.

        Args:
            index: Int.

        Raises:
            ImageError: If it is not an image, or too large.
        """
        with self._open(index) as image:
            return image.size

    def select(self, indices):
        """Return the same source with only the images of the given indices."""
        files = object.__new__(ImageFiles)
        files.argument = self.argument
        files.entries = [self.entries[i] for i in indices]
        return files

    def load(self, index, mode="RGB", shrink_to=None):
        """Read an image upright, without alpha, with 8 bits a channel.

        Args:
            index: Int.
            mode: `"RGB"`, where transparent pixels become white, or `"L"`, where
                they become black. Defaults to `"RGB"`.
            shrink_to: Int, the length in pixels that no side may fall below when a
                large JPEG is decoded at a half, a quarter or an eighth of its size.
                Defaults to `None`, the full size.

        Returns:
            `PIL.Image.Image` of that mode; the first frame of an animation.

        Raises:
            ImageError: If it is not an image, damaged or too large.
        """
        with self._open(index) as image:
            if shrink_to is not None:
                image.draft(None, (shrink_to, shrink_to))
            # Pillow reports damage on the first call only; later calls return the
            # part that was decoded.
            image.load()
            return _convert(_turn_upright(image), mode)

    def load_original(self, index):
        """Read an image as stored: with its mode, alpha, EXIF and color profile.

        Args:
            index: Int.

        Returns:
            `PIL.Image.Image`; the first frame of an animation.

        Raises:
            ImageError: If it is not an image, damaged or too large.
        """
        with self._open(index) as image:
            image.load()
            return image

    @contextmanager
    def _open(self, index):
        """Open an image and turn every error into an `ImageError` that names it."""
        entry = self.entries[index]
        try:
            with entry.open() as image:
                yield image
        # Decoders raise nearly any exception on damaged files.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ImageError(
                f"Image {index} of `{self.argument}` cannot be read: {reason}. "
                f"Received: {entry.name}"
            ) from error


# === Sources ===


class _File:
    def __init__(self, path):
        self.path = path

    @property
    def name(self):
        return str(self.path)

    def open(self):
        return Image.open(self.path, formats=_formats())


class _Archive:
    """A zip that threads and processes can read at the same time."""

    def __init__(self, path):
        self.path = path
        self._handle = None

    def __getstate__(self):
        return {"path": self.path, "_handle": None}

    def read(self, name):
        if self._handle is None or self._handle[0] != os.getpid():
            # A handle from before a fork shares its file position with the parent.
            self._handle = (os.getpid(), zipfile.ZipFile(self.path))
        _, archive = self._handle
        if archive.getinfo(name).file_size > MAX_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
        return archive.read(name)


class _Member:
    def __init__(self, archive, member):
        self.archive = archive
        self.member = member

    @property
    def name(self):
        return f"{self.archive.path}/{self.member}"

    def open(self):
        return Image.open(BytesIO(self.archive.read(self.member)), formats=_formats())


class _InMemory:
    def __init__(self, image, name):
        self.image = image
        self.name = name

    def open(self):
        if isinstance(self.image, Image.Image):
            return self.image.copy()
        levels = np.asarray(self.image)
        if levels.dtype != np.uint8:
            levels = levels.astype("float64") * 255
            if not ((levels >= 0) & (levels <= 255)).all():
                raise ValueError("its values are neither uint8 nor within [0, 1]")
            levels = np.rint(levels).astype("uint8")
        return Image.fromarray(levels)


def _list_path(path, argument):
    if path.is_dir():
        files = [_File(file) for file in sorted(path.rglob("*")) if _is_listed(file)]
        return [file for file in files if file.path.is_file()]
    if not path.is_file():
        raise ValueError(
            f"`{argument}` must be a folder, a zip or an image that exists. "
            f"Received: {argument}={path}"
        )
    if not zipfile.is_zipfile(path):
        return [_File(path)]
    archive = _Archive(path)
    with zipfile.ZipFile(path) as opened:
        # By parts, as folders are sorted, so that `a/b` comes before `a-1/c`.
        names = sorted(opened.namelist(), key=PurePosixPath)
    return [_Member(archive, name) for name in names if _is_listed(Path(name))]


def _is_listed(path):
    # macOS adds files such as `._name.png` to zips, which contain no image.
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def _entry(image, index, argument):
    name = f"{argument}[{index}]"
    if isinstance(image, (str, os.PathLike)):
        path = Path(image)
        if not path.is_file():
            raise ValueError(f"`{name}` must be a file. Received: {name}={path}")
        return _File(path)
    if isinstance(image, Image.Image):
        return _InMemory(image, name)
    shape = getattr(image, "shape", None)
    if shape is None or not (len(shape) == 2 or shape[2:] in ((1,), (3,), (4,))):
        raise ValueError(
            f"`{name}` must be a path, a PIL image or an array [H, W], [H, W, 3] or "
            f"[H, W, 4]. Received: {name} of type {type(image).__name__}, shape={shape}"
        )
    array = np.asarray(image)
    return _InMemory(array[..., 0] if array.shape[2:] == (1,) else array, name)


# === Conversion ===


def _formats():
    """Return those of `FORMATS` that this Pillow was built with."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _turn_upright(image):
    try:
        return ImageOps.exif_transpose(image)
    except (KeyError, OSError, SyntaxError, TypeError, ValueError):
        return image  # A damaged EXIF block says nothing about the orientation.


def _convert(image, mode):
    """Return an image of any mode in `"RGB"` or `"L"`, without alpha."""
    if image.mode == "F":
        raise ValueError("images of floating-point numbers have no known range")
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype("int64")
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError("it has more than 16 bits a channel")
        image = Image.fromarray(np.rint(levels / 257).astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        background = Image.new(
            "RGBA", image.size, "white" if mode == "RGB" else "black"
        )
        image = Image.alpha_composite(background, image)
    return image.convert(mode)
