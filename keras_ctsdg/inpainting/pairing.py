"""Which mask belongs to an image file, and where its result is written."""

import os
from pathlib import Path
from typing import NamedTuple

from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.data.listing import is_same_place
from keras_ctsdg.data.pairs import (
    MASK_BESIDE,
    raise_same,
    split_masks_beside,
    without_mask_suffix,
)
from keras_ctsdg.data.sources import FileSource, Source


class FillTask(NamedTuple):
    """An image file, its mask (`None` for its alpha) and the result's path."""

    image: Path
    mask: Path | Source | None
    out: Path


def pair_files(images, masks, alpha, out, ending=None):
    """Pair images with their masks and the paths of their results.

    Args:
        images, masks, alpha, out: As `InpaintBatch` takes them.
        ending: Str such as `".png"` for the results, or `None` for those of the images.
            Defaults to `None`.

    Returns:
        Tuple of a list of `FillTask`, in the order of the names; a list of the images
        without a mask; and a dict of the reasons why files are not taken, by name.

    Raises:
        ValueError: If the paths do not fit together, or there is no image.
    """
    if alpha == (masks is not None):
        raise ValueError(
            f"Pass either `masks` or `alpha`. Received: masks={masks}, alpha={alpha}"
        )
    is_file = images.is_file() and not out.is_dir()
    if is_file and not out.suffix:
        raise ValueError(
            "`out` must be the name of an image file or a folder that exists. "
            f"Received: out={out}"
        )
    if is_file and ending not in (None, out.suffix.lower()):
        raise ValueError(
            f"`format` must be the ending of `out`. Received: format={ending}, "
            f"out={out}"
        )
    files, find_mask, not_taken = _open_files(images, masks, out)
    tasks, unmatched, targets = [], [], {}
    for source in files.sources:
        target = out if is_file else out / source.path
        if ending is not None:
            target = target.with_suffix(ending)
        if targets.setdefault(target, source) is not source:
            raise ValueError(
                "`format` must leave the images different names. Received: "
                f"format={ending} for {targets[target].file} and {source.file}"
            )
        if target.resolve() == source.file.resolve():
            raise ValueError(f"`out` must not be `images`. Received: out={out}")
        try:
            tasks.append(FillTask(source.file, find_mask(source.path), target))
        except KeyError:
            unmatched.append(source.file)
    return tasks, unmatched, not_taken


def _open_files(images, masks, out):
    """Return the images, a callable from an image's path to its mask, and the rest."""
    others = [out] if masks is None else [out, masks]
    files = ImageFiles(images, "images", others)
    if not isinstance(files.sources[0], FileSource):
        raise ValueError(
            "`images` must be an image or a folder; unpack the zip first. "
            f"Received: images={images}"
        )
    files, beside = (files, None) if images.is_file() else split_masks_beside(files)
    if masks is not None and is_same_place(images, masks):
        if beside is None:
            raise_same(f"images={images}, masks={masks}")
        return files, _mask_finder(beside, masks), files.not_taken
    if beside is not None:
        files.not_taken |= dict.fromkeys(beside.names(), MASK_BESIDE)
    if masks is None:
        return files, lambda path: None, files.not_taken
    # A pattern of images may match the masks, too.
    others = [out, images] if images.exists() else [out]
    found = ImageFiles(masks, "masks", others)
    return files, _mask_finder(found, masks), files.not_taken | found.not_taken


def _mask_finder(found, masks):
    """Return a callable from an image's path to its mask; KeyError if there is none."""
    sources = [source.file or source for source in found.sources]
    if masks.is_file() and isinstance(found.sources[0], FileSource):
        return lambda path: sources[0]
    paths = [source.path for source in found.sources]
    if masks.is_file():
        # A zip often holds one folder, which is no part of the images' names.
        top = os.path.commonpath([path.parent for path in paths])
        paths = [path.relative_to(top) for path in paths]
    by_name = {}
    for path, source in zip(paths, sources, strict=True):
        other = by_name.setdefault(path.with_suffix(""), source)
        if other is not source:
            raise ValueError(
                "`masks` must hold files whose names differ in more than the ending. "
                f"Received: {other}, {source}"
            )
    return lambda path: _find_mask(path.with_suffix(""), by_name)


def _find_mask(name, by_name):
    """Return the mask of a name, or the only one like `a_mask001` of the name `a`."""
    if name in by_name:
        return by_name[name]
    found = [x for path, x in by_name.items() if without_mask_suffix(path) == name]
    if len(found) > 1:
        raise ValueError(
            "`masks` must hold one mask for each image. Received: "
            + ", ".join(map(str, found))
        )
    return found[0] if found else by_name[name]
