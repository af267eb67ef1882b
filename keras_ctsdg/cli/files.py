"""Pictures in folders: what belongs together, and how results are written."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from keras_ctsdg.visualization import kept_information


class Item(NamedTuple):
    """A picture, its mask and where the result goes; no mask is its alpha."""

    image: Path
    mask: Path | None
    out: Path


def pair_files(images, masks, alpha, out):
    """What is to be done, in the order of the names.

    Args:
        images: `Path` of a picture or a folder, which is searched to any depth.
        masks: `Path` of a mask for all or of a folder, where a picture's mask has
            the same name but for the ending; `None` with `alpha`.
        alpha: Bool, whether masks are drawn in the pictures' alpha.
        out: `Path` of a file, or of a folder where a folder's pictures keep their
            names.

    Returns:
        Tuple of a list of `Item` and a list of the pictures without a mask.

    Raises:
        ValueError: If the paths don't go together, or there is no picture.
    """
    if alpha == (masks is not None):
        raise ValueError(
            "Pass either --masks or --alpha. "
            f"Received: --masks {masks}{' --alpha' if alpha else ''}"
        )
    one = images.is_file()
    if one and not out.is_dir() and not out.suffix:
        raise ValueError(
            "--out must be a picture's name or a folder that exists. "
            f"Received: --out {out}"
        )
    root = images.parent if one else images
    files = [images] if one else list_pictures(images, "images")
    mask_of = _masks_by_name(masks)
    items, missing = [], []
    for file in files:
        name = file.relative_to(root)
        target = out if one and not out.is_dir() else out / name
        if target.resolve() == file.resolve():
            raise ValueError(f"--out must not be --images. Received: --out {out}")
        try:
            items.append(Item(file, mask_of(name), target))
        except KeyError:
            missing.append(file)
    return items, missing


def list_pictures(folder, argument):
    """Paths of the pictures in a folder, in the order of their names."""
    from keras_ctsdg.data.images import ImageFiles

    if not folder.is_dir():
        raise ValueError(
            f"--{argument} must be a folder or a picture that exists. "
            f"Received: --{argument} {folder}"
        )
    files = ImageFiles(folder, argument)
    return [Path(files.name(i)) for i in range(len(files))]


def _masks_by_name(masks):
    """A callable of a picture's name that returns its mask, or raises KeyError."""
    if masks is None or masks.is_file():
        return lambda name: masks
    found = {}
    for file in list_pictures(masks, "masks"):
        name = file.relative_to(masks).with_suffix("")
        if name in found:
            raise ValueError(
                "Masks must differ in more than the ending. "
                f"Received: {found[name]}, {file}"
            )
        found[name] = file
    return lambda name: found[name.with_suffix("")]


def save_whole(picture, path):
    """Writes a picture so that there is all of it under its name or nothing.

    EXIF, color profile, XMP and resolution go with it as far as the format holds
    them.
    """
    kinds = Image.registered_extensions()
    if path.suffix.lower() not in kinds:
        raise ValueError(f"No format is known by that ending. Received: {path}")
    options = kept_information(picture)
    options["quality"] = 95  # Of formats without one, Pillow passes over it.
    if kinds[path.suffix.lower()] in ("JPEG", "MPO"):
        options["subsampling"] = 0
    if kinds[path.suffix.lower()] == "WEBP" and picture.mode == "RGBA":
        options["exact"] = True  # Else it forgets colors under a clear alpha.
    _replace(
        path, lambda part: picture.save(part, kinds[path.suffix.lower()], **options)
    )


def copy_whole(source, path):
    """Copies a file so that there is all of it under its name or nothing."""
    _replace(path, lambda part: shutil.copyfile(source, part))


def _replace(path, write):
    path.parent.mkdir(parents=True, exist_ok=True)
    # Always of this name: the next run writes over what a killed one left.
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
