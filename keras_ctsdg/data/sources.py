"""Where images come from: files here and in remote storage, zips, bytes and arrays.

Each has a `name` for errors, a `path` relative to the folder, the zip or the pattern in
which it was found (`None` in memory), `open`, which returns a Pillow image, and `head`,
its first bytes.
"""

import glob
import os
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from keras_ctsdg.data.arrays import (
    BANDS,
    check_image_shape,
    is_array,
    to_array,
    to_levels,
)
from keras_ctsdg.data.formats import SIGNATURE_LENGTH, check_is_not_raw, open_formats
from keras_ctsdg.data.remote import RemotePath, is_uri


class Source:
    """An image that is opened when it is asked for.

    Attributes:
        name: Str, what errors call it.
        path: `pathlib.PurePath`, or `None`.
        file: `pathlib.Path` or `keras_ctsdg.data.remote.RemotePath` of an image file;
            `None` for any other.
        array: Array of an image in memory; `None` for any other.
    """

    name: str
    path: Any = None
    file: Any = None
    array: Any = None

    def open(self):
        """Return the image as an open `PIL.Image.Image`."""
        raise NotImplementedError

    def head(self):
        """Return the first bytes, or none of an image that is in memory."""
        return b""


class FileSource(Source):
    """A file.

    Args:
        file: `pathlib.Path`.
        path: `pathlib.PurePath`, relative to where it was found. Defaults to `None`,
            its name.
    """

    def __init__(self, file, path=None):
        self.file = file
        self.path = PurePath(file.name) if path is None else path

    @property
    def name(self):
        return str(self.file)

    def head(self):
        with open(self.file, "rb") as file:
            return file.read(SIGNATURE_LENGTH)

    def open(self):
        return _open(self.file, self.file.suffix)


class RemoteSource(FileSource):
    """A file in remote storage.

    Args:
        file: `keras_ctsdg.data.remote.RemotePath`.
        path: `pathlib.PurePath`, as `FileSource` has it.
    """

    def head(self):
        return self.file.read(SIGNATURE_LENGTH)

    def open(self):
        return _open(BytesIO(self.file.read()), self.file.suffix)


class MemberSource(Source):
    """A member of a zip.

    Args:
        archive: `keras_ctsdg.data.archives.Archive`.
        member: Str, its name.
    """

    def __init__(self, archive, member):
        self.archive = archive
        self.member = member
        self.path = PurePath(member)

    @property
    def name(self):
        return f"{self.archive.path}/{self.member}"

    def head(self):
        return self.archive.read(self.member)[:SIGNATURE_LENGTH]

    def open(self):
        return _open(BytesIO(self.archive.read(self.member)), self.path.suffix)


class BytesSource(Source):
    """The bytes of an image file.

    Args:
        content: Bytes.
        name: Str, what errors call it.
    """

    def __init__(self, content, name):
        self.content = content
        self.name = name

    def head(self):
        return self.content[:SIGNATURE_LENGTH]

    def open(self):
        return _open(BytesIO(self.content), "")


class MemorySource(Source):
    """A Pillow image or an array.

    Args:
        image: `PIL.Image.Image`, or array `[H, W]`, `[H, W, 3]` or `[H, W, 4]`.
        name: Str, what errors call it.
    """

    def __init__(self, image, name):
        self.image = image
        self.name = name
        if not isinstance(image, Image.Image):
            self.array = image

    def open(self):
        if self.array is None:
            return self.image.copy()
        return Image.fromarray(to_levels(self.array))


def _open(file, ending):
    image = Image.open(file, formats=open_formats())
    try:
        check_is_not_raw(image, ending.lower())
    except ValueError:
        image.close()
        raise
    return image


def is_path(value):
    """Return whether a value names a file."""
    return isinstance(value, (str, os.PathLike, RemotePath))


def is_bytes(value):
    """Return whether a value is the content of a file or an open file."""
    return isinstance(value, (bytes, bytearray, memoryview)) or hasattr(value, "read")


def is_single(value):
    """Return whether a value is one image that is not a path.

    An array `[H, W]`, `[H, W, 1]`, `[H, W, 3]` or `[H, W, 4]` is, an array `[B, H, W]`
    is a batch.
    """
    if isinstance(value, Image.Image) or is_bytes(value):
        return True
    shape = getattr(value, "shape", ())
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in BANDS)


def list_items(source, argument):
    """Return the items of a list of images of any kind.

    Args:
        source: Iterable.
        argument: Str, what errors call it.

    Raises:
        ValueError: If it is not iterable.
    """
    try:
        return list(source)
    except TypeError as error:
        raise ValueError(
            f"`{argument}` must be a path, an image or a list of images. Received: "
            f"{argument} of type {type(source).__name__}"
        ) from error


def make_source(image, name):
    """Return the source of one image of any kind.

    Args:
        image: Path, bytes, open file, `PIL.Image.Image`, array `[H, W]`,
            `[H, W, 1]`, `[H, W, 3]` or `[H, W, 4]`, tensor or nested list; or a
            `Source`.
        name: Str, what errors call it.

    Raises:
        ValueError: If it is of no such kind, or the file does not exist.
    """
    if isinstance(image, Source):
        return image
    if is_path(image):
        path = expand_user(image)
        if not path.is_file():
            what = ""
            if glob.has_magic(str(path)):
                what = ", a pattern; pass the list of files that it matches"
            raise ValueError(f"`{name}` must be a file. Received: {name}={path}{what}")
        return (RemoteSource if isinstance(path, RemotePath) else FileSource)(path)
    if is_bytes(image):
        return BytesSource(_read_bytes(image, name), name)
    if isinstance(image, Image.Image):
        return MemorySource(image, name)
    if not is_array(image):
        raise ValueError(
            f"`{name}` must be a path, a PIL image, an array or the bytes of a file. "
            f"Received: {name} of type {type(image).__name__}"
        )
    array = to_array(image, name)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    check_image_shape(array.shape, name)
    return MemorySource(array, name)


def expand_user(path):
    """Return a path as `pathlib.Path`, with the home folder for `~`.

    A URI, such as `s3://bucket/photos`, becomes a `RemotePath`.
    """
    if isinstance(path, RemotePath):
        return path
    if is_uri(path):
        return RemotePath(path)
    return Path(os.path.expanduser(path))


def _read_bytes(file, name):
    if not hasattr(file, "read"):
        return bytes(file)
    try:
        if file.seekable():
            file.seek(0)
        content = file.read()
    except (AttributeError, OSError, ValueError) as error:
        raise ValueError(
            f"`{name}` must be a file that can be read: {error}. "
            f"Received: {name}={file!r}"
        ) from error
    if not isinstance(content, (bytes, bytearray)):
        raise ValueError(
            f"`{name}` must be open in binary mode. Received: {name}={file!r}"
        )
    return bytes(content)
