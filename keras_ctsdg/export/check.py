"""The check of a written file in its own runtime, against Keras."""

import keras
import numpy as np

from keras_ctsdg.data import RandomIrregularMasks
from keras_ctsdg.data.sample_photos import load_sample_photos
from keras_ctsdg.export.graph import TOPS
from keras_ctsdg.export.runtimes import open_file

# Decibels of the pixels in the hole, by how the weights are stored.
MIN_PSNR = {"float32": 60.0, "float16": 45.0, "int8": 45.0}
# Of fills in half precision, with the edges of float32.
MIN_PSNR_FAST = 46.0
PHOTOS = ("astronaut", "coffee")
# Where sizes are free, the images of the check have two of them.
FREE_SIZES = ((256, 256), (200, 300))


def check_file(graph, plan, path):
    """Compare what a file fills with what Keras fills.

    Args:
        graph: `FillImage` of the model that was exported.
        plan: `ExportPlan`.
        path: `pathlib.Path` of the written file.

    Returns:
        Float, the lowest PSNR of the images in their holes, in decibels.

    Raises:
        ValueError: If the results differ by more than the dtype explains.
    """
    runtime = open_file(path)
    lowest = np.inf
    for i, size in enumerate((plan.size,) * 2 if plan.size else FREE_SIZES):
        image, mask = sample_input(i, size, plan.image_dtype)
        found = runtime(image, mask)
        expected = {
            name: keras.ops.convert_to_numpy(value)
            for name, value in graph({"image": image, "mask": mask}).items()
        }
        psnr = _compare(found, expected, image, mask, plan)
        if not psnr >= MIN_PSNR[plan.dtype]:
            _refuse(plan, f"a PSNR of {psnr:.1f} dB in the hole")
        lowest = min(lowest, psnr)
    return lowest


def choose_precision(path):
    """Choose how this machine computes with an OpenVINO file.

    Args:
        path: `pathlib.Path` of the file, which takes uint8 images of any size.

    Returns:
        Str, a precision of `ExportedModel`: `"fast"` if it finds the same edges as
        `"float32"`, and the fills differ by no more than 46 dB.
    """
    fast, exact = open_file(path, "fast"), open_file(path)
    for i, size in enumerate(FREE_SIZES):
        image, mask = sample_input(i, size, "uint8")
        found, expected = fast(image, mask), exact(image, mask)
        hole = np.broadcast_to(mask > 0, image.shape)
        psnr = _psnr(found["filled"], expected["filled"], hole, TOPS["uint8"])
        same = np.array_equal(found["edge"], expected["edge"])
        if not (same and psnr >= MIN_PSNR_FAST):
            return "float32"
    return "fast"


def sample_input(index, size, dtype):
    """Return a photograph and an irregular mask, as an exported file takes them.

    Args:
        index: Int, which photograph.
        size: Tuple `(height, width)`.
        dtype: `"uint8"` or `"float32"`.

    Returns:
        Tuple of arrays `[1, H, W, 3]` and `[1, H, W, 1]`.
    """
    photo = load_sample_photos(PHOTOS[index : index + 1])[0]
    rows, columns = (np.arange(n) % m for n, m in zip(size, photo.shape, strict=False))
    image = photo[rows][:, columns][None]
    mask = RandomIrregularMasks((0.1, 0.3))(index, size)[None] > 0
    if dtype == "float32":
        image = (image / 255).astype("float32")
    return np.ascontiguousarray(image), mask.astype(dtype)


def _compare(found, expected, image, mask, plan):
    """Return the PSNR in the hole, after the checks of everything else."""
    filled = found["filled"]
    if filled.shape != image.shape or filled.dtype != image.dtype:
        _refuse(plan, f"{filled.dtype} of {filled.shape} for {image.shape}")
    hole = np.broadcast_to(mask > 0, image.shape)
    if not np.array_equal(filled[~hole], image[~hole]):
        _refuse(plan, "other pixels outside the hole")
    moved = np.count_nonzero(found["edge"] != expected["edge"])
    if moved and plan.dtype == "float32":
        _refuse(plan, f"{moved} pixels of other edges")
    return _psnr(filled, expected["filled"], hole, TOPS[plan.image_dtype])


def _psnr(found, expected, hole, top):
    """Return the PSNR in the hole, in decibels."""
    difference = found[hole].astype("float64") - expected[hole]
    error = np.mean(np.square(difference / top))
    return np.inf if error == 0 else -10 * np.log10(error)


def _refuse(plan, found):
    raise ValueError(
        f"The exported file must fill as the model does, with at least "
        f"{MIN_PSNR[plan.dtype]:.0f} dB; it was removed. Received: "
        f"format={plan.format!r}, dtype={plan.dtype!r}, which gave {found}"
    )
