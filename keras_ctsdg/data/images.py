"""Pictures by number, from a folder, a zip or a list; whatever their kind."""

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
# Pillow would hand PostScript to a program of its own.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF")
FORMATS += ("WEBP",)
# A zip's entry is unpacked whole; no picture within Pillow's limit needs more.
MAX_BYTES = 2**30


class ImageError(ValueError):
    """A picture or a mask that cannot be used; the message names it."""


class ImageFiles:
    """Pictures that are read when they are asked for.

    Args:
        source: Path of a folder (searched to any depth, in the order of the names),
            of a zip (read in place) or of a single picture; or a list of paths,
            `PIL.Image.Image`s or arrays: `[H, W]`, `[H, W, 3]` or `[H, W, 4]`,
            uint8, bool, or floats in [0, 1].
        argument: Str, what errors call it. Defaults to `"images"`.

    Raises:
        ValueError: If there is no such source, or no picture in it.
    """

    def __init__(self, source, argument="images"):
        self.argument = argument
        if isinstance(source, (str, os.PathLike)):
            self.entries = _list_path(Path(source), argument)
        else:
            self.entries = [_entry(item, i, argument) for i, item in enumerate(source)]
        if not self.entries:
            raise ValueError(
                f"`{argument}` must hold a picture ({' '.join(EXTENSIONS)}). "
                f"Received: {argument}={source}"
            )

    def __len__(self):
        return len(self.entries)

    def name(self, index):
        """What a picture is called: its path, or its place in the list."""
        return self.entries[index].name

    def size(self, index):
        """Width and height as a picture lies, without decoding it.

        Args:
            index: Int.

        Raises:
            ImageError: If it is no picture, or too large.
        """
        with self._reading(index) as picture:
            return picture.size

    def select(self, indices):
        """The same source, with a part of its pictures in the order asked for."""
        files = object.__new__(ImageFiles)
        files.argument = self.argument
        files.entries = [self.entries[i] for i in indices]
        return files

    def load(self, index, mode="RGB", shrink_to=None):
        """Reads a picture: the right way up, without alpha, 8 bits a channel.

        Args:
            index: Int.
            mode: `"RGB"`, where what is transparent turns white, or `"L"`, where
                it turns black. Defaults to `"RGB"`.
            shrink_to: Int, a side that suffices: a large JPEG is then decoded at a
                half, a quarter or an eighth of its size, but no side smaller than
                this. Defaults to the whole size.

        Returns:
            `PIL.Image.Image` of that mode; of an animation, the first picture.

        Raises:
            ImageError: If it is no picture, damaged or too large.
        """
        with self._reading(index) as picture:
            if shrink_to is not None:
                picture.draft(None, (shrink_to, shrink_to))
            # Damage is raised once only: a second try hands out half a picture.
            picture.load()
            return _plain(_upright(picture), mode)

    def load_original(self, index):
        """Reads a picture as it lies: in its mode, with alpha, EXIF and profile.

        Args:
            index: Int.

        Returns:
            `PIL.Image.Image`; of an animation, the first picture.

        Raises:
            ImageError: If it is no picture, damaged or too large.
        """
        with self._reading(index) as picture:
            picture.load()
            return picture

    @contextmanager
    def _reading(self, index):
        entry = self.entries[index]
        try:
            with entry.open() as picture:
                yield picture
        # Decoders meet damage with nearly any exception.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ImageError(
                f"Picture {index} of `{self.argument}` can't be read: {reason}. "
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
    """A zip that threads and processes may read at the same time."""

    def __init__(self, path):
        self.path = path
        self._open = (None, None)

    def __getstate__(self):
        return {"path": self.path, "_open": (None, None)}

    def read(self, name):
        owner, archive = self._open
        if owner != os.getpid():
            # After a fork the two processes would share the place in the file.
            archive = zipfile.ZipFile(self.path)
            self._open = (os.getpid(), archive)
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
    def __init__(self, picture, name):
        self.picture = picture
        self.name = name

    def open(self):
        if isinstance(self.picture, Image.Image):
            return self.picture.copy()
        levels = np.asarray(self.picture)
        if levels.dtype != np.uint8:
            levels = levels.astype("float64") * 255
            if not ((levels >= 0) & (levels <= 255)).all():
                raise ValueError("its numbers are neither uint8 nor within [0, 1]")
            levels = np.rint(levels).astype("uint8")
        return Image.fromarray(levels)


def _list_path(path, argument):
    if path.is_dir():
        files = [_File(file) for file in sorted(path.rglob("*")) if _is_listed(file)]
        return [file for file in files if file.path.is_file()]
    if not path.is_file():
        raise ValueError(
            f"`{argument}` must be a folder, a zip or a picture that exists. "
            f"Received: {argument}={path}"
        )
    if not zipfile.is_zipfile(path):
        return [_File(path)]
    archive = _Archive(path)
    with zipfile.ZipFile(path) as opened:
        # As folders are sorted: by parts, where `a/b` is before `a-1/c`.
        names = sorted(opened.namelist(), key=PurePosixPath)
    return [_Member(archive, name) for name in names if _is_listed(Path(name))]


def _is_listed(path):
    # macOS leaves `._name.png` in zips, which hold no picture.
    return path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")


def _entry(item, index, argument):
    name = f"{argument}[{index}]"
    if isinstance(item, (str, os.PathLike)):
        path = Path(item)
        if not path.is_file():
            raise ValueError(f"`{name}` must be a file. Received: {name}={path}")
        return _File(path)
    if isinstance(item, Image.Image):
        return _InMemory(item, name)
    shape = getattr(item, "shape", None)
    if shape is None or not (len(shape) == 2 or shape[2:] in ((1,), (3,), (4,))):
        raise ValueError(
            f"`{name}` must be a path, a PIL image or an array [H, W], [H, W, 3] or "
            f"[H, W, 4]. Received: {name} of type {type(item).__name__}, shape={shape}"
        )
    array = np.asarray(item)
    return _InMemory(array[..., 0] if array.shape[2:] == (1,) else array, name)


# === Pictures of any kind ===


def _formats():
    """Those that this Pillow was built with."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _upright(picture):
    try:
        return ImageOps.exif_transpose(picture)
    except (KeyError, OSError, SyntaxError, TypeError, ValueError):
        return picture  # A damaged EXIF block leaves the picture as it lies.


def _plain(picture, mode):
    """8 bits a channel and no alpha."""
    if picture.mode == "F":
        raise ValueError("pictures of floating-point numbers have no known range")
    if picture.mode.startswith("I"):
        levels = np.asarray(picture).astype("int64")
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError("it has more than 16 bits a channel")
        picture = Image.fromarray(np.rint(levels / 257).astype("uint8"))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        background = Image.new(
            "RGBA", picture.size, "white" if mode == "RGB" else "black"
        )
        picture = Image.alpha_composite(background, picture)
    return picture.convert(mode)


def center_box(size, aspect):
    """The largest box of that width by height amid a picture."""
    width, height = size
    box_width = max(1, min(width, round(height * aspect)))
    box_height = max(1, min(height, round(width / aspect)))
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height
