"""Files in remote storage, such as `s3://bucket/photos`, through PyArrow.

PyArrow reads Amazon S3 and what speaks its protocol, Google Cloud Storage, Hadoop and
`file://`. For other URIs there is fsspec, with the package that each needs.
"""

import re
from functools import lru_cache
from pathlib import PurePosixPath

URI = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://.+")
# Parts of S3's uploads are written on their own; larger ones mean fewer requests.
CHUNK_BYTES = 2**23
ROOT = PurePosixPath()


def is_uri(path):
    """Return whether a path is a URI, such as `s3://bucket/photos`."""
    return isinstance(path, str) and bool(URI.fullmatch(path))


class RemotePath:
    """A file or a folder in remote storage, with the methods of `pathlib.Path`.

    Args:
        root: Str, a URI. Options of the storage may follow a `?`, as in
            `s3://bucket/photos?region=eu-west-1`; they are no part of any name.
        path: Path relative to it. Defaults to the root itself.
    """

    def __init__(self, root, path=ROOT):
        self.root = root
        self.path = PurePosixPath(path)

    @property
    def _place(self):
        """PyArrow's file system, and the path in it."""
        filesystem, root = _open_filesystem(self.root)
        root = root.rstrip("/") or root
        if self.path == ROOT:
            return filesystem, root
        return filesystem, f"{root.rstrip('/')}/{self.path}"

    @property
    def _pure(self):
        return PurePosixPath(self.root.partition("?")[0]) / self.path

    @property
    def name(self):
        """Str, the last part."""
        return self._pure.name

    @property
    def suffix(self):
        """Str, the ending of the name, with its dot."""
        return self._pure.suffix

    def __str__(self):
        root = self.root.partition("?")[0].rstrip("/")
        return root if self.path == ROOT else f"{root}/{self.path}"

    def __repr__(self):
        return f"RemotePath('{self}')"

    def __eq__(self, other):
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self):
        return hash(str(self))

    def __truediv__(self, path):
        return RemotePath(self.root, self.path / PurePosixPath(path))

    def with_suffix(self, suffix):
        """Return the path with another ending."""
        if self.path != ROOT:
            return RemotePath(self.root, self.path.with_suffix(suffix))
        root, mark, options = self.root.partition("?")
        return RemotePath(
            root[: len(root) - len(self.suffix)] + suffix + mark + options
        )

    def resolve(self):
        """Return the path itself: remote storage has no links."""
        return self

    def is_below(self, other):
        """Return whether this is another path, or lies in it."""
        return f"{self}/".startswith(f"{other}/")

    def _type(self):
        from pyarrow.fs import FileType

        filesystem, path = self._place
        kind = filesystem.get_file_info([path])[0].type
        return {FileType.File: "file", FileType.Directory: "folder"}.get(kind)

    def exists(self):
        return self._type() is not None

    def is_dir(self):
        return self._type() == "folder"

    def is_file(self):
        return self._type() == "file"

    def list_files(self):
        """Return the files in a folder, to any depth.

        Returns:
            List of `pathlib.PurePosixPath`, relative to the folder, sorted; empty if
            there is no such folder.
        """
        from pyarrow.fs import FileSelector

        filesystem, path = self._place
        selector = FileSelector(path, allow_not_found=True, recursive=True)
        found = filesystem.get_file_info(selector)
        top = PurePosixPath(path)
        return sorted(
            PurePosixPath(x.path).relative_to(top) for x in found if x.is_file
        )

    def read(self, count=None):
        """Return the first bytes of a file, or with `None` all of them."""
        filesystem, path = self._place
        with filesystem.open_input_stream(path) as file:
            return file.read() if count is None else file.read(count)

    def download(self, file):
        """Copy this file to a local one.

        Args:
            file: `pathlib.Path`.
        """
        filesystem, path = self._place
        with filesystem.open_input_stream(path) as source, open(file, "wb") as target:
            _copy(source, target)

    def upload(self, file):
        """Copy a local file to this one, which appears only when it is complete.

        Args:
            file: `pathlib.Path`.
        """
        filesystem, path = self._place
        folder, _, name = path.rpartition("/")
        # Storage of objects needs no folders, and makes an object only when it is
        # complete; a move would copy it.
        is_atomic = filesystem.type_name in ("s3", "gcs", "abfs")
        part = path if is_atomic else f"{folder}/.{name}.part"
        if not is_atomic:
            filesystem.create_dir(folder, recursive=True)
        with open(file, "rb") as source, filesystem.open_output_stream(part) as target:
            _copy(source, target)
        if not is_atomic:
            filesystem.move(part, path)


def _copy(source, target):
    while chunk := source.read(CHUNK_BYTES):
        target.write(chunk)


@lru_cache(maxsize=16)
def _open_filesystem(uri):
    """Return PyArrow's file system for a URI, and the path in it."""
    try:
        import pyarrow
        from pyarrow import fs
    except ImportError as error:
        raise ImportError(
            'Remote storage needs PyArrow: pip install "keras-ctsdg[ray]". '
            f"Received: {uri.partition('?')[0]}"
        ) from error
    try:
        return fs.FileSystem.from_uri(uri)
    except pyarrow.ArrowInvalid as error:
        if "nrecognized" not in str(error):
            raise
    from fsspec.core import url_to_fs

    try:
        filesystem, path = url_to_fs(uri)
    except ValueError as error:
        raise ValueError(
            "A URI must be of storage that PyArrow or fsspec opens, such as s3:// or "
            f"gs://. Received: {uri.partition('?')[0]}"
        ) from error
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path
