"""Files that are not what their names say, because a download went wrong."""

PAGE_STARTS = (b"<!doctype", b"<html", b"<head", b"<?xml")
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def refuse_failed_download(path):
    """Refuse a web page, a pointer of Git LFS, and an empty file.

    Hosts of files answer with a page where a quota is exceeded or a login is needed.

    Args:
        path: `pathlib.Path` of an existing file.

    Raises:
        ValueError: If the file is one of these.
    """
    with open(path, "rb") as file:
        start = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.lower().startswith(PAGE_STARTS):
        reason = (
            "it is a web page, such as hosts send when a quota is exceeded. Open the "
            "link in a browser and download the file again"
        )
    elif start.startswith(LFS_POINTER):
        reason = "it is a pointer of Git LFS. Fetch the file itself with `git lfs pull`"
    elif not start:
        reason = "it is empty. Download it again"
    else:
        return
    raise ValueError(f"A file must hold weights; {reason}. Received: {path}")
