"""Where downloads are kept, and files that show that a download went wrong."""

import os
from pathlib import Path

PAGE_STARTS = (b"<!doctype", b"<html", b"<head", b"<?xml")
LFS_POINTER = b"version https://git-lfs"
START_LENGTH = 1024


def home_folder():
    """Return the folder of presets and downloads, which need not exist.

    It is `$KERAS_CTSDG_HOME`, by default `~/.keras/keras_ctsdg`. `KERAS_HOME` moves
    `~/.keras`, as in Keras.
    """
    home = os.environ.get("KERAS_CTSDG_HOME")
    if not home:
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras", "keras_ctsdg")
    return Path(home).expanduser()


def describe_failed_download(head):
    """Return what a file is that a host sent in place of the one that was wanted.

    Hosts of files answer with a page where a quota is exceeded or a login is needed.

    Args:
        head: Bytes, the first ones of the file.

    Returns:
        Str: a web page, a pointer of Git LFS or an empty file; `None` for any other.
    """
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return "it is empty; download it again"
    if start.lower().startswith(PAGE_STARTS):
        return (
            "it is a web page, such as hosts send when a quota is exceeded; open the "
            "link in a browser and download the file again"
        )
    if start.startswith(LFS_POINTER):
        return "it is a pointer of Git LFS; run `git lfs pull`"
    return None


def refuse_failed_download(path):
    """Refuse what `describe_failed_download` describes.

    Args:
        path: `pathlib.Path` of an existing file.

    Raises:
        ValueError: If the file is a failed download.
    """
    with open(path, "rb") as file:
        reason = describe_failed_download(file.read(START_LENGTH))
    if reason is not None:
        raise ValueError(f"A file must hold weights; {reason}. Received: {path}")
