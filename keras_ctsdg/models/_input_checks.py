"""Checks of the networks' arguments and inputs, made before any computation."""

import textwrap

from keras_ctsdg._checks import check_positive
from keras_ctsdg.conventions import CHANNELS, SIZE_MULTIPLE, STRUCTURE_KEYS


def check_image_shape(image_shape):
    """Check an `image_shape` argument.

    Args:
        image_shape: Tuple `(H, W, 3)`, where H and W are multiples of 128, or
            `None` for any size.

    Raises:
        ValueError: If the argument breaks this rule.
    """
    if len(image_shape) != 3 or image_shape[-1] != CHANNELS["image"]:
        raise ValueError(
            "`image_shape` must be (height, width, 3). "
            f"Received: image_shape={image_shape}"
        )
    _check_size_multiple(image_shape[:2], f"image_shape={tuple(image_shape)}")


def check_filters(filters):
    """Check a `filters` argument.

    Some layers have a quarter of the filters, so it must be divisible by 4.

    Args:
        filters: Int, which must be a positive multiple of 4.

    Returns:
        The argument as an int.

    Raises:
        ValueError: If the argument breaks this rule.
    """
    width = check_positive("filters", filters)
    if width % 4:
        raise ValueError(
            f"`filters` must be a positive multiple of 4. Received: filters={filters}"
        )
    return width


def check_model_arguments(arguments):
    """Check the further keyword arguments of a network.

    Keras would ignore unknown ones.

    Args:
        arguments: Dict of the arguments.

    Raises:
        ValueError: If there is another one than `trainable`.
    """
    if set(arguments) - {"trainable"}:
        raise ValueError(
            "Further arguments must be those of a functional `keras.Model`: "
            f"`trainable`. Received: {textwrap.shorten(str(arguments), 200)}"
        )


def check_inputs(inputs, keys=tuple(CHANNELS)):
    """Check the names, ranks, channels and sizes of a network's inputs.

    Sizes that are `None` are not checked.

    Args:
        inputs: Dict of tensors or arrays, `[B, H, W, C]` each.
        keys: Tuple of str, the required names. Defaults to all four inputs: `image`,
            `gray`, `edge` and `mask`.

    Raises:
        ValueError: If `inputs` breaks a rule. The message names the rule.
    """
    if not isinstance(inputs, dict):
        raise ValueError(
            f"`inputs` must be a dict with the keys {list(keys)}. "
            f"Received: inputs of type {type(inputs).__name__}"
        )
    missing = [key for key in keys if inputs.get(key) is None]
    if missing:
        raise ValueError(
            f"`inputs` must have the keys {list(keys)}; {missing} missing. "
            f"Received: keys={list(inputs)}"
        )
    shapes = {key: _validate_shape(key, inputs[key]) for key in keys}
    reference = shapes["image"]
    for key, shape in shapes.items():
        if any(
            None not in lengths and lengths[0] != lengths[1]
            for lengths in zip(shape[:3], reference[:3], strict=True)
        ):
            raise ValueError(
                "All inputs must agree in batch size, height and width. Received: "
                f"image.shape={reference}, {key}.shape={shape}"
            )
    _check_size_multiple(reference[1:3], f"image.shape={reference}")


def check_batch(batch):
    """Check a batch for a model: all inputs, or image and mask only.

    Args:
        batch: Dict of tensors or arrays, `[B, H, W, C]` each.

    Returns:
        Tuple of str, the names of the inputs in the batch.

    Raises:
        ValueError: If the batch breaks a rule. The message names the rule.
    """
    keys = tuple(CHANNELS)
    if isinstance(batch, dict):
        absent = [key for key in STRUCTURE_KEYS if batch.get(key) is None]
        if len(absent) == len(STRUCTURE_KEYS):
            keys = tuple(key for key in keys if key not in STRUCTURE_KEYS)
        elif absent:
            raise ValueError(
                "`gray` and `edge` must be given together, or both left to the model; "
                f"{absent} missing. Received: keys={list(batch)}"
            )
    check_inputs(batch, keys)
    return keys


def _validate_shape(key, value):
    """Return the shape of an input after checking its rank and channels."""
    if not hasattr(value, "shape"):
        raise ValueError(
            f"`{key}` must be a tensor or an array. "
            f"Received: {key} of type {type(value).__name__}"
        )
    shape = tuple(value.shape)
    channels = CHANNELS[key]
    if len(shape) != 4 or shape[-1] != channels:
        raise ValueError(
            f"`{key}` must be of shape [B, H, W, {channels}]. "
            f"{_layout_advice(key, shape, channels)}Received: {key}.shape={shape}"
        )
    if shape[0] == 0:
        raise ValueError(
            f"`{key}` must hold at least one sample. Received: {key}.shape={shape}"
        )
    return shape


def _layout_advice(key, shape, channels):
    """Return a sentence on the layout that a shape probably has, or an empty str."""
    if len(shape) in (3, 4) and shape[-1] != channels and shape[-3] == channels:
        layout = "[C, H, W]" if len(shape) == 3 else "[B, C, H, W]"
        return (
            f"This looks like {layout}: move the channels to the end, "
            f"np.moveaxis({key}, -3, -1). "
        )
    if len(shape) == 3 and shape[-1] == channels:
        return f"This looks like a single sample: add a batch axis, {key}[None]. "
    return ""


def _check_size_multiple(size, received):
    lengths = [length for length in size if length is not None]
    if any(length < 1 or length % SIZE_MULTIPLE for length in lengths):
        raise ValueError(
            f"Height and width must be multiples of {SIZE_MULTIPLE}. "
            f"Received: {received}"
        )
