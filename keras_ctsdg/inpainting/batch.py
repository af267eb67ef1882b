"""The fill of an image file, or of all image files in a folder."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from keras_ctsdg.data._checks import check_shard
from keras_ctsdg.data.prefetch import prefetch
from keras_ctsdg.data.remote import RemotePath
from keras_ctsdg.data.sources import expand_user
from keras_ctsdg.inpainting.formats import FORMATS, format_of_ending
from keras_ctsdg.inpainting.options import FileOptions
from keras_ctsdg.inpainting.pairing import pair_files
from keras_ctsdg.inpainting.steps import (
    check_format,
    fill_frames,
    read_task,
    write_result,
)
from keras_ctsdg.inpainting.stored_images import read_header


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
        notes: Dict of str to str, what of filled or copied images was left out.
    """

    filled: list = field(default_factory=list)
    unchanged: list = field(default_factory=list)
    skipped: list = field(default_factory=list)
    failed: dict = field(default_factory=dict)
    not_taken: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)

    def sort(self, tasks):
        """Bring what became of tasks, in whatever order, into the order of the tasks.

        Args:
            tasks: List of `FillTask`.
        """
        order = {str(task.image): i for i, task in enumerate(tasks)}
        for names in (self.filled, self.unchanged):
            names.sort(key=lambda name: order.get(name, -1))
        # What failed before the tasks started stays in front.
        for name in ("failed", "notes"):
            reasons = getattr(self, name).items()
            sort = sorted(reasons, key=lambda item: order.get(item[0], -1))
            setattr(self, name, dict(sort))


def fill_files(model, tasks, files, options):
    """Fill image files, one after the other.

    The next image is read and the last one written while one is filled. Memory does not
    grow with the number of images.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        tasks: List of `FillTask`.
        files: `FileOptions`.
        options: `InpaintOptions`.

    Yields:
        Tuple of a task, its outcome (`"filled"`, `"unchanged"` or `"failed"`), and the
        notes on its result or the error.
    """
    loaded = prefetch(lambda task: read_task(task, files), tasks)
    with ThreadPoolExecutor(1) as executor:
        writing = None
        for task, result in zip(tasks, loaded, strict=True):
            if not isinstance(result, Exception):
                source, mask = result
                result = source, fill_frames(model, source, mask, options)
                del source, mask
            if writing is not None:
                yield writing.result()
            writing = executor.submit(write_result, task, result, files.quality)
            # It is not kept while the next image is filled.
            del result
        if writing is not None:
            yield writing.result()


class InpaintBatch:
    """Image files to be filled, one after the other.

    The files are paired and checked on creation, before a model is needed.

    Args:
        images: `Path` of an image, or of a folder, which is searched to any depth, or
            a pattern such as `photos/*.jpg`. It, `masks` and `out` may be a
            `keras_ctsdg.data.remote.RemotePath`, too.
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
        files: `FileOptions`. Defaults to `None`, the default options.
        shard: Tuple `(rank, count)`: every `count`-th image from the one at index
            `rank` on, whether its result exists or not, so that the shards of several
            processes are disjoint and together complete. Defaults to `(0, 1)`.

    Attributes:
        pending: List of `FillTask`, the images to be filled.
        report: `BatchReport`, which `run` completes.

    Raises:
        ValueError: If the paths do not fit together, there is no image, the result
            of a single image exists and `overwrite` is false, its format cannot hold
            the image, or `quality` is given for formats without one.
    """

    def __init__(
        self,
        images,
        masks,
        out,
        alpha=False,
        overwrite=False,
        files=None,
        shard=(0, 1),
    ):
        rank, count = check_shard(shard)
        self.files = files or FileOptions()
        images, out = expand_user(images), expand_user(out)
        masks = None if masks is None else expand_user(masks)
        ending = self.files.ending
        tasks, unmatched, not_taken = pair_files(images, masks, alpha, out, ending)
        tasks, unmatched = tasks[rank::count], unmatched[rank::count]
        not_taken = dict(list(not_taken.items())[rank::count])
        done = [] if overwrite else _find_done(tasks, out)
        if done and images.is_file():
            raise ValueError(
                "`out` must not exist, unless `overwrite` is set. "
                f"Received: out={done[0].out}"
            )
        paths = {task.out for task in done}
        self.pending = [task for task in tasks if task.out not in paths]
        self.report = BatchReport(
            skipped=[str(task.image) for task in done],
            failed={str(path): "It has no mask of its name." for path in unmatched},
            not_taken=not_taken,
        )
        self._check_formats(is_single=images.is_file())

    def _check_formats(self, is_single):
        """Fail images that the format of their results cannot hold."""
        pending, formats = [], set()
        for task in self.pending:
            try:
                # Of images whose ending stays, or that a network would transfer twice,
                # it is checked when they are read.
                is_same = task.image.suffix.lower() == task.out.suffix.lower()
                is_remote = isinstance(task.image, RemotePath)
                if not is_remote and (is_single or not is_same):
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

    def run(self, model, options, progress=iter, fill=fill_files):
        """Fill the pending images and record the results in `report`.

        Args:
            model: A `keras_ctsdg.CTSDG`.
            options: `InpaintOptions`.
            progress: Callable that wraps the iterable of results, such as a progress
                bar. Defaults to no progress bar.
            fill: Callable as `fill_files`, which may yield the results in any order.
                Defaults to `fill_files`.
        """
        results = fill(model, self.pending, self.files, options)
        for task, outcome, detail in progress(results):
            self._record(task, outcome, detail)
        self.report.sort(self.pending)

    def _record(self, task, outcome, detail):
        if outcome == "failed":
            self.report.failed[str(task.image)] = str(detail) or type(detail).__name__
            return
        getattr(self.report, outcome).append(str(task.image))
        if detail:
            self.report.notes[str(task.image)] = " ".join(detail)


def _find_done(tasks, out):
    """Return the tasks whose results exist."""
    if isinstance(out, RemotePath) and len(tasks) > 1:
        # One request in place of one for each file.
        existing = {out / path for path in out.list_files()}
        return [task for task in tasks if task.out in existing]
    return [task for task in tasks if task.out.exists()]
