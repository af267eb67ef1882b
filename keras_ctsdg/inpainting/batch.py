"""The fill of an image file, or of all image files in a folder."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.data.prefetch import prefetch
from keras_ctsdg.inpainting.formats import FORMATS, format_of_ending
from keras_ctsdg.inpainting.options import FileOptions
from keras_ctsdg.inpainting.sources import read_header
from keras_ctsdg.inpainting.steps import (
    FillTask,
    check_format,
    fill_source,
    read_task,
    write_result,
)


@dataclass
class BatchReport:
    """What became of the images of a batch, by path.

    Args:
        filled: List of str, images that were filled.
        unchanged: List of str, images without a hole, which were copied.
        skipped: List of str, images whose results existed before.
        failed: Dict of str to str, why images could not be filled.
        notes: Dict of str to str, what of filled or copied images was left out.
    """

    filled: list = field(default_factory=list)
    unchanged: list = field(default_factory=list)
    skipped: list = field(default_factory=list)
    failed: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)


class InpaintBatch:
    """Image files to be filled, one after the other.

    The files are paired and checked on creation, before a model is needed.

    Args:
        images: `Path` of an image, or of a folder, which is searched to any depth.
        masks: `Path` of one mask for all images, or of a folder, in which the mask of
            an image has the same name except for its ending; `None` with `alpha`.
            White marks the hole.
        out: `Path` of a file for an image, or of a folder, in which the images of a
            folder keep their names.
        alpha: Bool, whether the transparent pixels of the images are the holes.
            Defaults to `False`.
        overwrite: Bool. `False` skips images whose results exist. Defaults to
            `False`.
        files: `FileOptions`. Defaults to `None`, the default options.

    Attributes:
        pending: List of `FillTask`, the images to be filled.
        report: `BatchReport`, which `run` completes.

    Raises:
        ValueError: If the paths do not fit together, there is no image, the result
            of a single image exists and `overwrite` is false, its format cannot hold
            the image, or `quality` is given for formats without one.
    """

    def __init__(self, images, masks, out, alpha=False, overwrite=False, files=None):
        self.files = files or FileOptions()
        tasks, unmatched = pair_files(images, masks, alpha, out, self.files.ending)
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
        )
        self._check_formats(is_single=images.is_file())

    def _check_formats(self, is_single):
        """Fail images that the format of their results cannot hold."""
        pending, formats = [], set()
        for task in self.pending:
            try:
                # That of images whose ending stays is checked when they are read.
                if is_single or task.image.suffix.lower() != task.out.suffix.lower():
                    header = read_header(task.image, self.files.frames)
                    formats.add(check_format(task, header))
                else:
                    formats.add(format_of_ending(task.out, "out"))
                pending.append(task)
            except (ImportError, ValueError) as error:
                if is_single:
                    raise
                self.report.failed[str(task.image)] = str(error)
        self.pending = pending
        able = [name for name, kind in FORMATS.items() if kind.has_quality]
        # A TIFF may hold a JPEG.
        if pending and self.files.quality is not None:
            if not formats & {*able, "TIFF"}:
                raise ValueError(
                    "`quality` must be `None` for formats without one: only "
                    f"{', '.join(able)} have it. Received: quality={self.files.quality}"
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
        loaded = prefetch(lambda task: read_task(task, self.files), self.pending)
        with ThreadPoolExecutor(1) as executor:
            writing = None
            for task, result in progress(zip(self.pending, loaded, strict=True)):
                if not isinstance(result, Exception):
                    source, mask = result
                    result = source, fill_source(model, source, mask, options)
                    del source, mask
                if writing is not None:
                    self._record(*writing.result())
                writing = executor.submit(
                    write_result, task, result, self.files.quality
                )
                # It is not kept while the next image is filled.
                del result
            if writing is not None:
                self._record(*writing.result())

    def _record(self, task, outcome, detail):
        if outcome == "failed":
            self.report.failed[str(task.image)] = str(detail) or type(detail).__name__
            return
        getattr(self.report, outcome).append(str(task.image))
        if detail:
            self.report.notes[str(task.image)] = " ".join(detail)


# === Pairs of files ===


def pair_files(images, masks, alpha, out, ending=None):
    """Pair images with their masks and the paths of their results.

    Args:
        images, masks, alpha, out: As `InpaintBatch` takes them.
        ending: Str such as `".png"` for the results, or `None` for those of the images.
            Defaults to `None`.

    Returns:
        Tuple of a list of `FillTask`, in the order of the names, and a list of the
        images without a mask.

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
    if is_single and not out.is_dir() and ending is not None:
        if out.suffix.lower() != ending:
            raise ValueError(
                f"`format` must be the ending of `out`. Received: format={ending}, "
                f"out={out}"
            )
    root = images.parent if is_single else images
    files = [images] if is_single else _list_images(images, "images")
    find_mask = _mask_finder(masks)
    tasks, unmatched, targets = [], [], {}
    for file in files:
        name = file.relative_to(root)
        target = out if is_single and not out.is_dir() else out / name
        if ending is not None and target != out:
            target = target.with_suffix(ending)
        if targets.setdefault(target, file) != file:
            raise ValueError(
                "`format` must leave the images different names. "
                f"Received: format={ending} for {targets[target]} and {file}"
            )
        if target.resolve() == file.resolve():
            raise ValueError(f"`out` must not be `images`. Received: out={out}")
        try:
            tasks.append(FillTask(file, find_mask(name), target))
        except KeyError:
            unmatched.append(file)
    return tasks, unmatched


def _list_images(folder, argument):
    if not folder.is_dir():
        raise ValueError(
            f"`{argument}` must be a folder or an image file that exists. "
            f"Received: {argument}={folder}"
        )
    files = ImageFiles(folder, argument)
    return [Path(files.name(i)) for i in range(len(files))]


def _mask_finder(masks):
    """Return a callable from an image's name to its mask; KeyError if there is none."""
    if masks is None or masks.is_file():
        return lambda name: masks
    found = {}
    for file in _list_images(masks, "masks"):
        name = file.relative_to(masks).with_suffix("")
        if name in found:
            raise ValueError(
                "`masks` must hold files whose names differ in more than the ending. "
                f"Received: {found[name]}, {file}"
            )
        found[name] = file
    return lambda name: found[name.with_suffix("")]
