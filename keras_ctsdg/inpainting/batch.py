"""The fill of an image file, or of all image files in a folder."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.data.listing import is_same_place, without_mask_suffix
from keras_ctsdg.data.pairs import MASK_BESIDE, raise_same, split_masks_beside
from keras_ctsdg.data.prefetch import prefetch
from keras_ctsdg.data.sources import FileSource, Source, expand_user
from keras_ctsdg.inpainting.files import copy_image, save_image
from keras_ctsdg.inpainting.fill import NoHoleWarning, inpaint
from keras_ctsdg.inpainting.holes import read_mask


class FillTask(NamedTuple):
    """An image file, its mask (`None` for its alpha) and the result's path."""

    image: Path
    mask: Path | Source | None
    out: Path


@dataclass
class BatchReport:
    """What became of the images of a batch, by path.

    Args:
        filled: List of str, images that were filled.
        unchanged: List of str, images without a hole, which were copied.
        skipped: List of str, images whose results existed before.
        failed: Dict of str to str, why images could not be filled.
        not_taken: Dict of str to str, why files in the folders that seem to be images
            or masks are none that can be used.
    """

    filled: list = field(default_factory=list)
    unchanged: list = field(default_factory=list)
    skipped: list = field(default_factory=list)
    failed: dict = field(default_factory=dict)
    not_taken: dict = field(default_factory=dict)


class InpaintBatch:
    """Image files to be filled, one after the other.

    The files are paired and checked on creation, before a model is needed.

    Args:
        images: `Path` of an image, or of a folder, which is searched to any depth, or
            a pattern such as `photos/*.jpg`.
        masks: `Path` of one mask for all images, or of a folder, a zip or a pattern,
            in which the mask of an image has the same name except for its ending, or
            has `_mask001` before it; `None` with `alpha`. White marks the hole. It
            may be the folder of the images, if it holds `a_mask001.png` beside
            `a.png`.
        out: `Path` of a file for an image, or of a folder, in which the images of a
            folder keep their names.
        alpha: Bool, whether the transparent pixels of the images are the holes.
            Defaults to `False`.
        overwrite: Bool. `False` skips images whose results exist. Defaults to
            `False`.

    Attributes:
        pending: List of `FillTask`, the images to be filled.
        report: `BatchReport`, which `run` completes.

    Raises:
        ValueError: If the paths do not fit together, there is no image, or the result
            of a single image exists and `overwrite` is false.
    """

    def __init__(self, images, masks, out, alpha=False, overwrite=False):
        images, out = expand_user(images), expand_user(out)
        masks = None if masks is None else expand_user(masks)
        tasks, unmatched, not_taken = pair_files(images, masks, alpha, out)
        done = [task for task in tasks if task.out.exists() and not overwrite]
        if done and images.is_file():
            raise ValueError(
                "`out` must not exist, unless `overwrite` is set. "
                f"Received: out={done[0].out}"
            )
        self.pending = [task for task in tasks if task not in done]
        self.report = BatchReport(
            skipped=[str(task.image) for task in done],
            failed={str(path): "It has no mask of its name." for path in unmatched},
            not_taken=not_taken,
        )

    def run(self, model, options, progress=iter):
        """Fill the pending images and record the results in `report`.

        The next image is read and the last one written while one is filled. Memory
        does not grow with the number of images.

        Args:
            model: A `keras_ctsdg.CTSDG`.
            options: `InpaintOptions`.
            progress: Callable that wraps the iterable of pending images, such as a
                progress bar. Defaults to no progress bar.
        """
        loaded = zip(self.pending, prefetch(_read, self.pending), strict=True)
        with ThreadPoolExecutor(1) as executor:
            writing = None
            for task, pair in progress(loaded):
                result = pair
                if not isinstance(pair, Exception):
                    image, mask = pair
                    result = _fill(model, image, mask, options)
                if writing is not None:
                    self._record(*writing.result())
                writing = executor.submit(_write, task, result)
            if writing is not None:
                self._record(*writing.result())

    def _record(self, task, outcome, error=None):
        if error is None:
            getattr(self.report, outcome).append(str(task.image))
        else:
            self.report.failed[str(task.image)] = str(error) or type(error).__name__


# === Pairs of files ===


def pair_files(images, masks, alpha, out):
    """Pair images with their masks and the paths of their results.

    Args:
        images, masks, alpha, out: As `InpaintBatch` takes them.

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
    is_single = images.is_file()
    if is_single and not out.is_dir() and not out.suffix:
        raise ValueError(
            "`out` must be the name of an image file or a folder that exists. "
            f"Received: out={out}"
        )
    files, find_mask, not_taken = _open_files(images, masks, out)
    tasks, unmatched = [], []
    for source in files.sources:
        target = out if is_single and not out.is_dir() else out / source.path
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
    sources = [getattr(source, "file", source) for source in found.sources]
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


# === Steps of one image ===


def _read(task):
    """Return an image and its mask, or the error that prevents reading them."""
    try:
        image = ImageFiles([task.image], "image").load_original(0)
        if task.mask is None:
            return image, None
        return image, read_mask(task.mask, "mask")
    except (OSError, ValueError) as error:
        return error


def _fill(model, image, mask, options):
    """Return the filled image, `None` if it has no hole, or the error."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            filled = inpaint(model, image, mask, options)
    except (MemoryError, OSError, ValueError) as error:
        return error
    has_hole = not any(issubclass(x.category, NoHoleWarning) for x in caught)
    return filled if has_hole else None


def _write(task, result):
    """Write a result and return the task, its outcome and, if it failed, the error."""
    if isinstance(result, Exception):
        return task, "failed", result
    try:
        if result is not None:
            save_image(result, task.out)
            return task, "filled"
        if task.image.suffix.lower() == task.out.suffix.lower():
            copy_image(task.image, task.out)
            return task, "unchanged"
        raise ValueError(
            "`out` must keep the ending of an image without a hole, which is copied. "
            f"Received: out={task.out}"
        )
    except (OSError, ValueError) as error:
        return task, "failed", error
