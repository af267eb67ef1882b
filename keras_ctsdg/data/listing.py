"""Which images folders, zips and patterns hold, and what in them is not taken."""

import glob
import os
import warnings
from pathlib import Path, PurePath
from typing import NamedTuple

from keras_ctsdg.data.archives import Archive, is_zip, read_members
from keras_ctsdg.data.formats import image_endings, why_not_taken
from keras_ctsdg.data.remote import RemotePath
from keras_ctsdg.data.sources import (
    FileSource,
    MemberSource,
    RemoteSource,
    expand_user,
)

# Of network drives, Windows and macOS: previews, trash and metadata.
SYSTEM_NAMES = set(
    "@eadir @recently-snapshot @recycle #recycle #snapshot $recycle.bin __macosx "
    "desktop.ini lost+found thumbs.db".split()
) | {"system volume information"}


class Listing(NamedTuple):
    """The images of a folder, a zip or a pattern.

    Attributes:
        sources: List of `Source`, in the order of their paths.
        not_taken: Dict of str to str, why files that seem to be images are not, by
            name.
    """

    sources: list
    not_taken: dict


def list_images(path, argument, passed_over=()):
    """List the images that a path names.

    Folders are searched to any depth, through links, each folder once. Hidden files and
    those of systems, such as `.ipynb_checkpoints` and `@eaDir`, are passed over.

    Args:
        path: Path of a folder, a zip or an image, or a pattern, such as
            `"photos/*.jpg"`; `~` is the home folder. Or the URI of a folder or an image
            in remote storage, such as `"s3://bucket/photos"`.
        argument: Str, the name of the argument in errors.
        passed_over: Paths and patterns of folders and files that are no part of it.
            Defaults to none.

    Returns:
        `Listing`.

    Raises:
        ValueError: If the path does not exist, or is an archive that cannot be read.
    """
    path = expand_user(path)
    if isinstance(path, RemotePath):
        return _list_remote(path, argument, passed_over)
    search = _Search(x for x in passed_over if not is_same_place(x, path))
    if not path.exists() and glob.has_magic(str(path)):
        return _list_pattern(path, argument, search)
    if path.is_dir():
        search.folder(path, PurePath())
        return search.result()
    if not path.is_file():
        raise ValueError(
            f"`{argument}` must be a folder, a zip or an image that exists. "
            f"Received: {argument}={path}"
        )
    try:
        if is_zip(path):
            return _list_zip(path)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"`{argument}` must be a folder, a zip or an image: {error}. "
            f"Received: {argument}={path}"
        ) from error
    return Listing([FileSource(path)], {})


def warn_of_not_taken(not_taken, argument):
    """Warn once of the files that seem to be images but are not taken.

    Args:
        not_taken: Dict, as a `Listing` has it.
        argument: Str, the name of the argument that holds them.
    """
    if not_taken:
        warnings.warn(
            f"`{argument}` holds files that are not taken: "
            + summarize_not_taken(not_taken),
            stacklevel=3,
        )


def summarize_not_taken(not_taken):
    """Return one line about files that are not taken: reasons, numbers and names."""
    by_reason = {}
    for name, reason in not_taken.items():
        by_reason.setdefault(reason, []).append(os.path.basename(name))
    return "; ".join(
        f"{len(names)} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''}): "
        + reason
        for reason, names in by_reason.items()
    )


def is_same_place(first, second):
    """Return whether two paths name the same folder or file, by links too."""
    first, second = expand_user(first), expand_user(second)
    if isinstance(first, RemotePath) or isinstance(second, RemotePath):
        return first == second
    try:
        return os.path.samefile(first, second)
    except OSError:
        return first == second


# === Folders ===


class _Search:
    """A search that enters no folder twice, so that links cannot lead in circles."""

    def __init__(self, passed_over):
        matches = [match for path in passed_over for match in _match(path)]
        self.entered = {_identity(match) for match in matches if match.is_dir()}
        self.passed_files = {os.path.realpath(x) for x in matches if not x.is_dir()}
        self.endings = set(image_endings())
        self.sources, self.not_taken = {}, {}

    def result(self):
        """Return the `Listing`, sorted."""
        sources = sorted(self.sources.values(), key=lambda source: source.path)
        return Listing(sources, dict(sorted(self.not_taken.items())))

    def folder(self, folder, path):
        """Search a folder.

        Args:
            folder: `pathlib.Path`.
            path: `pathlib.PurePath` of it in results.
        """
        # Folders come before links to them, so that images keep their own names.
        pending, links = [(folder, path)], []
        while pending or links:
            folder, path = (pending or links).pop()
            identity = _identity(folder)
            if identity in self.entered:
                continue
            self.entered.add(identity)
            try:
                entries = list(os.scandir(folder))
            except OSError as error:
                self.not_taken[str(folder)] = error.strerror or str(error)
                continue
            for entry in entries:
                below = Path(entry.path), path / entry.name
                if is_hidden(entry.name):
                    continue
                if os.path.isdir(entry.path):
                    (links if entry.is_symlink() else pending).append(below)
                else:
                    self.file(*below)

    def file(self, file, path):
        """Take a file, or record why not.

        Args:
            file: `pathlib.Path`.
            path: `pathlib.PurePath` of it in results.
        """
        if self.passed_files and os.path.realpath(file) in self.passed_files:
            return
        ending = file.suffix.lower()
        reason = why_not_taken(ending, self.endings)
        if reason is None and ending in self.endings:
            if file.is_file():
                self.sources.setdefault(str(file), FileSource(file, path))
            elif file.is_symlink():
                reason = "it is a link to nothing"
        if reason is not None:
            self.not_taken[str(file)] = reason


def is_hidden(name):
    """Return whether a name is hidden or that of a system's own file or folder."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def _match(path):
    """Return the paths that a path or a pattern names."""
    path = expand_user(path)
    if isinstance(path, RemotePath):
        return []
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    return [Path(match) for match in glob.iglob(str(path), recursive=True)]


def _identity(path):
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


# === Patterns, zips and remote storage ===


def _list_pattern(pattern, argument, search):
    # The part before the first wildcard is the folder that paths are relative to.
    parts = [glob.has_magic(part) for part in pattern.parts]
    root = Path(*pattern.parts[: parts.index(True)])
    for match in sorted(glob.glob(str(pattern), recursive=True)):
        match = Path(match)
        path = match.relative_to(root)
        if any(map(is_hidden, path.parts)):
            continue
        if match.is_dir():
            search.folder(match, path)
        else:
            search.file(match, path)
    listing = search.result()
    if not listing.sources:
        raise ValueError(
            f"`{argument}` must match images. Received: {argument}={pattern}"
        )
    return listing


def _list_zip(path):
    endings = set(image_endings())
    archive = Archive(path)

    def is_image(member):
        path = PurePath(member)
        is_listed = not any(map(is_hidden, path.parts))
        return is_listed and path.suffix.lower() in endings

    return _take_images(MemberSource(archive, x) for x in read_members(path, is_image))


def _list_remote(path, argument, passed_over):
    if path.is_dir():
        others = [expand_user(x) for x in passed_over]
        others = [x for x in others if isinstance(x, RemotePath) and x != path]
        files = ((path / x, x) for x in path.list_files())
        return _take_images(
            RemoteSource(file, x)
            for file, x in files
            if not any(map(file.is_below, others))
        )
    if not path.is_file() or path.suffix.lower() == ".zip":
        raise ValueError(
            f"`{argument}` must be a folder or an image that exists; unpack zips in "
            f"remote storage. Received: {argument}={path}"
        )
    return Listing([RemoteSource(path)], {})


def _take_images(sources):
    """Return the `Listing` of those sources that are images and not hidden."""
    endings = set(image_endings())
    taken, not_taken = [], {}
    for source in sources:
        if any(map(is_hidden, source.path.parts)):
            continue
        ending = source.path.suffix.lower()
        reason = why_not_taken(ending, endings)
        if reason is not None:
            not_taken[source.name] = reason
        elif ending in endings:
            taken.append(source)
    return Listing(sorted(taken, key=lambda source: source.path), not_taken)
