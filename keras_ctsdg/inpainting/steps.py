"""The steps that fill one image file: read, fill, write."""

import shutil
import tempfile
import warnings
import weakref
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageSequence

from keras_ctsdg.data.images import ImageFiles, read_mask_levels
from keras_ctsdg.data.remote import RemotePath
from keras_ctsdg.inpainting.animations import to_palette
from keras_ctsdg.inpainting.encodings import name_losses
from keras_ctsdg.inpainting.files import choose_format, copy_image, save_image
from keras_ctsdg.inpainting.fill import NoHoleWarning, inpaint
from keras_ctsdg.inpainting.formats import check_can_hold
from keras_ctsdg.inpainting.image16 import Image16, import_imagecodecs
from keras_ctsdg.inpainting.stored_images import read_stored_image


def read_task(task, files):
    """Read an image and its mask.

    Args:
        task: `keras_ctsdg.inpainting.pairing.FillTask`.
        files: `FileOptions`.

    Returns:
        Tuple of the `StoredImage` and the mask: an image, a list with one for each
        frame, or `None` for the alpha. The error, if they cannot be read or the
        result cannot hold the image.
    """
    try:
        source = _read_source(task.image, files.frames)
        image_format = check_format(task, source)
        source.notes += name_losses(source, image_format)
        if image_format == "GIF" and len(source.frames) > 1:
            source.frames = [to_palette(x, i) for i, x in enumerate(source.frames)]
        if task.mask is not None:
            return source, _read_masks(task.mask, len(source.frames))
        return source, _mask_opaque_frames(source.frames)
    except (ImportError, OSError, ValueError) as error:
        return error


def _read_source(image, frames):
    """Read an image; one in remote storage by a local copy, deleted with the result."""
    if not isinstance(image, RemotePath):
        return read_stored_image(image, frames)
    folder = tempfile.mkdtemp(prefix="keras_ctsdg_")
    copy = Path(folder, image.name)
    try:
        image.download(copy)
        source = read_stored_image(copy, frames)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, ValueError):
            raise ValueError(str(error).replace(str(copy), str(image))) from error
        raise
    weakref.finalize(source, shutil.rmtree, folder, ignore_errors=True)
    return source


def check_format(task, source):
    """Check that the format of a result holds the image.

    Args:
        task: `keras_ctsdg.inpainting.pairing.FillTask`.
        source: `StoredImage`, of which the headers of the frames suffice.

    Returns:
        Str, the format, a key of `FORMATS`.

    Raises:
        ImportError: If the format needs an extra that is not installed.
        ValueError: If no format has that ending, or it does not hold the image.
    """
    image_format = choose_format(task.out, source, "out")
    if image_format == "PNG" and source.frames[0].mode == Image16.mode:
        import_imagecodecs()
    # Frames are converted to the palettes of a GIF.
    if image_format != "GIF" or len(source.frames) == 1:
        check_can_hold(image_format, source.frames, task.out, "out")
    return image_format


def _read_masks(mask, count):
    """Return a mask, or the list of its frames, if it has more than one."""
    with ImageFiles([mask], "mask").open(0, "be read as a mask") as image:
        found = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        if found not in (1, count):
            raise ValueError(f"it has {found} frames, for an image of {count}")
        if found > 1:
            return [frame.copy() for frame in ImageSequence.Iterator(image)]
        return read_mask_levels(image)


def _mask_opaque_frames(frames):
    """Return the masks of frames whose alpha marks the hole."""
    if len(frames) == 1 or not any(frame.has_transparency_data for frame in frames):
        return None
    # A frame without transparent pixels has no hole, which is no error.
    return [
        None if frame.has_transparency_data else Image.new("L", frame.size)
        for frame in frames
    ]


def fill_frames(model, source, mask, options):
    """Fill the frames of an image.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        source, mask: As `read_task` returns them.
        options: `InpaintOptions`.

    Returns:
        List of the filled frames, `None` if none has a hole, or the error.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # Errors in the only frame need no index.
            if len(source.frames) == 1:
                filled = [inpaint(model, source.frames[0], mask, options)]
            else:
                filled = inpaint(model, source.frames, mask, options)
    except (MemoryError, OSError, ValueError) as error:
        return error
    without_hole = sum(issubclass(x.category, NoHoleWarning) for x in caught)
    return filled if without_hole < len(filled) else None


def write_result(task, result, quality):
    """Write a result.

    Args:
        task: `keras_ctsdg.inpainting.pairing.FillTask`.
        result: Tuple of the `StoredImage` and what `fill_frames` returned, or an error.
        quality: Int or `None`, as `FileOptions` documents it.

    Returns:
        Tuple of the task, its outcome, and the notes or, if it failed, the error.
    """
    if isinstance(result, Exception):
        return task, "failed", result
    source, filled = result
    if isinstance(filled, Exception):
        return task, "failed", filled
    try:
        with _local_file(task.out) as out:
            if filled is not None:
                save_image(filled, out, source, quality)
                return task, "filled", source.notes
            if check_format(task, source) == source.format:
                copy_image(source.path, out)
                return task, "unchanged", []
            save_image(source.frames, out, source, quality)
            return task, "unchanged", source.notes
    except (OSError, ValueError) as error:
        return task, "failed", error


@contextmanager
def _local_file(path):
    """Yield where a result is written: its path, or a file that is then uploaded."""
    if not isinstance(path, RemotePath):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="keras_ctsdg_") as folder:
        file = Path(folder, path.name)
        yield file
        path.upload(file)
