"""Arrays, tensors and nested lists of any library, as NumPy arrays."""

import numpy as np

BANDS = (1, 3, 4)


def to_array(value, name):
    """Convert an array, a tensor or a nested list of numbers to a NumPy array.

    Args:
        value: Array, tensor of any backend and on any device, or nested list.
        name: Str, what errors call it.

    Returns:
        Array of bools, integers or floats.

    Raises:
        ValueError: If it is of another kind, or its rows differ in length.
    """
    if hasattr(value, "detach"):
        # PyTorch converts neither tensors with gradients nor those of a device.
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
    try:
        array = np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must be an array of numbers. Received: {name} of type "
            f"{type(value).__name__}: {error}"
        ) from error
    if array.dtype.name == "bfloat16":
        array = array.astype("float32")
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"`{name}` must be a path, a PIL image or an array of numbers. Received: "
            f"{name} of type {type(value).__name__}"
            + (f", dtype={array.dtype}" if array.ndim else "")
        )
    return array


def is_array(value):
    """Return whether a value is an array, a tensor or a nested list of numbers."""
    if not isinstance(value, (list, tuple)):
        return hasattr(value, "shape")
    # A list of arrays, or of an array and a nested list, is no array.
    parts = value
    while parts and all(isinstance(part, (list, tuple)) for part in parts):
        parts = parts[0]
    return bool(parts) and all(
        isinstance(part, (bool, int, float, np.number, np.bool_)) for part in parts
    )


def check_channels_last(shape, name):
    """Refuse the layout of other libraries by its name.

    Args:
        shape: Tuple, the shape of an image or of a batch.
        name: Str, what errors call the array.

    Raises:
        ValueError: If the channels are first: `[C, H, W]` or `[B, C, H, W]`.
    """
    layout = {3: "[C, H, W]", 4: "[B, C, H, W]"}.get(len(shape))
    if layout and shape[-1] > max(BANDS) and shape[-3] in BANDS:
        wanted = layout.replace("C, ", "").replace("]", ", C]")
        axes = "1, 2, 0" if len(shape) == 3 else "0, 2, 3, 1"
        raise ValueError(
            f"`{name}` must have its channels last, {wanted}: transpose it by "
            f"({axes}). Received: {name}.shape={tuple(shape)}, which looks like "
            f"{layout}"
        )


def check_image_shape(shape, name):
    """Check the shape of one image or mask, whose channels are last.

    Args:
        shape: Tuple, without a last axis of length 1.
        name: Str, what errors call the array.

    Raises:
        ValueError: If it is neither [H, W] nor [H, W, C] with one of `BANDS`.
    """
    check_channels_last(shape, name)
    if len(shape) != 2 and (len(shape) != 3 or shape[-1] not in BANDS):
        raise ValueError(
            f"`{name}` must be [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]. "
            f"Received: {name}.shape={shape}"
        )


def to_levels(array):
    """Convert an image's array to levels of 8 bits.

    Args:
        array: Array of bools, uint8, uint16 (up to 65535), other integers in
            [0, 255], or floats in [0, 1].

    Returns:
        Uint8 array of the same shape.

    Raises:
        ValueError: If a value is out of range.
    """
    if array.dtype == np.uint8:
        return array
    kind, low, high = array.dtype.kind, array.min(initial=0), array.max(initial=0)
    if array.dtype == np.uint16:
        return np.rint(array / 257).astype("uint8")
    if kind in "iu" and 0 <= low and high <= 255:
        return array.astype("uint8")
    # Also false for NaN
    if kind in "iu" or not (0 <= low and high <= 1):
        raise ValueError(
            "its values are neither uint8 nor within [0, 1]: they go from "
            f"{low} to {high}"
        )
    return np.rint(array * 255.0).astype("uint8")
