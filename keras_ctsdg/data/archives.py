"""Zips of images, read in place."""

import os
import re
import zipfile

from keras_ctsdg.data.formats import SIGNATURE_LENGTH, describe_archive

# Members of a zip are unpacked whole; images within Pillow's limit need no more.
MAX_BYTES = 2**30
ENCRYPTED = 0x1
METHODS = {
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
    zipfile.ZIP_BZIP2,
    zipfile.ZIP_LZMA,
}
END_SIGNATURE = b"PK\5\6"
# The record at the end of a zip, with the longest comment.
END_LENGTH = 22 + 65535


class Archive:
    """A zip that threads and processes can read at the same time.

    Args:
        path: `pathlib.Path`.
    """

    def __init__(self, path):
        self.path = path
        self._handle = None

    def __getstate__(self):
        return {"path": self.path, "_handle": None}

    def read(self, name):
        """Return the bytes of a member.

        Args:
            name: Str.

        Raises:
            ValueError: If it unpacks to more than `MAX_BYTES`.
        """
        if self._handle is None or self._handle[0] != os.getpid():
            # A handle from before a fork shares its file position with the parent.
            self._handle = (os.getpid(), zipfile.ZipFile(self.path))
        _, archive = self._handle
        if archive.getinfo(name).file_size > MAX_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
        return archive.read(name)


def is_zip(path):
    """Return whether a file is a zip; refuse any other archive.

    Args:
        path: `pathlib.Path` of a file.

    Raises:
        ValueError: If it is a tar, a part of a split zip or the like.
    """
    if zipfile.is_zipfile(path):
        return True
    with open(path, "rb") as file:
        what = describe_archive(file.read(SIGNATURE_LENGTH))
    # Split archives end in .z01 or .001.
    if what is None and re.fullmatch(r"\.z?\d+", path.suffix.lower()):
        what = "it is a part of a split archive; join the parts"
    if what is not None:
        raise ValueError(what)
    return False


def read_members(path, is_wanted):
    """Return the members of a zip in the order of their names.

    Args:
        path: `pathlib.Path` of a zip.
        is_wanted: Callable of a member's name, whether it must be readable.

    Returns:
        List of str, the names of all files in it.

    Raises:
        ValueError: If it is damaged, split, encrypted or packed in another way.
    """
    try:
        _check_is_whole(path)
        with zipfile.ZipFile(path) as archive:
            members = [x for x in archive.infolist() if not x.is_dir()]
    # Besides its own error, the module raises nearly any exception on damage.
    except Exception as error:
        raise ValueError(f"it is a zip that cannot be read: {error}") from error
    for member in members:
        if not is_wanted(member.filename):
            continue
        if member.flag_bits & ENCRYPTED:
            raise ValueError(f"it is encrypted; unpack it first: {member.filename}")
        if member.compress_type not in METHODS:
            raise ValueError(
                f"it is packed by method {member.compress_type}, which Python does not "
                f"unpack; pack it as a plain zip: {member.filename}"
            )
    return sorted({member.filename for member in members})


def _check_is_whole(path):
    """Refuse the last part of a split zip, whose other parts are other files."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - END_LENGTH))
        tail = file.read()
    end = tail[tail.rfind(END_SIGNATURE) :]
    disk = int.from_bytes(end[4:6], "little")
    # 65535 refers to the record of a large zip.
    if disk not in (0, 65535):
        raise ValueError("it is the last part of a split zip; join the parts")
