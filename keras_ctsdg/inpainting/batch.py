"""The fill of an image file, or of all image files in a folder."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.data.prefetch import prefetch
from keras_ctsdg.data.sources import expand_user
from keras_ctsdg.inpainting.files import copy_image, save_image
from keras_ctsdg.inpainting.fill import NoHoleWarning, inpaint
from keras_ctsdg.inpainting.holes import read_mask
from keras_ctsdg.inpainting.pairing import pair_files


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
