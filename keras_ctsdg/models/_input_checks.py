"""What the networks accept, checked before anything is computed."""

import keras

from keras_ctsdg.conventions import CHANNELS, SIZE_MULTIPLE, STRUCTURE_KEYS


def check_image_shape(image_shape):
    """Checks an `image_shape` argument.

    Args:
        image_shape: Tuple `(H, W, 3)`; H and W are multiples of 128, or `None`
            for any.

    Raises:
        ValueError: If it is anything else.
    """
    if len(image_shape) != 3 or image_shape[-1] != CHANNELS["image"]:
        raise ValueError(
            "`image_shape` must be (height, width, 3). "
            f"Received: image_shape={image_shape}"
        )
    _check_size(image_shape[:2], f"image_shape={tuple(image_shape)}")


def check_filters(filters):
    """Checks a `filters` argument, of which a quarter is used too.

    Args:
        filters: Int, a positive multiple of 4.

    Raises:
        ValueError: If it is anything else.
    """
    if filters < 4 or filters % 4:
        raise ValueError(
            f"`filters` must be a positive multiple of 4. Received: filters={filters}"
        )


def check_inputs(inputs, keys=tuple(CHANNELS)):
    """Checks names, ranks, channels and sizes of a network's inputs.

    Sizes that are unknown before the call are left to the call.

    Args:
        inputs: Dict of tensors or arrays, `[B, H, W, C]` each.
        keys: Tuple of str, the names that must be there. Defaults to `image`,
            `gray`, `edge` and `mask`.

    Raises:
        ValueError: If `inputs` breaks a rule, naming it.
    """
    if not isinstance(inputs, dict):
        raise ValueError(
            f"Inputs must be a dict with the keys {list(keys)}. "
            f"Received: inputs of type {type(inputs).__name__}"
        )
    missing = [key for key in keys if inputs.get(key) is None]
    if missing:
        raise ValueError(
            f"Inputs must have the keys {list(keys)}; {missing} missing. "
            f"Received: keys={list(inputs)}"
        )
    shapes = {key: _shape(key, inputs[key]) for key in keys}
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
    _check_size(reference[1:3], f"image.shape={reference}")


def check_batch(batch):
    """Checks a batch for a model: all inputs, or picture and mask alone.

    Args:
        batch: Dict of tensors or arrays, `[B, H, W, C]` each.

    Returns:
        Tuple of str, the inputs that it has.

    Raises:
        ValueError: If it breaks a rule, naming it.
    """
    keys = tuple(CHANNELS)
    if isinstance(batch, dict):
        absent = [key for key in STRUCTURE_KEYS if batch.get(key) is None]
        if len(absent) == len(STRUCTURE_KEYS):
            keys = tuple(key for key in keys if key not in STRUCTURE_KEYS)
        elif absent:
            raise ValueError(
                "`gray` and `edge` come together, or are both left to the model; "
                f"{absent} missing. Received: keys={list(batch)}"
            )
    check_inputs(batch, keys)
    return keys


def _shape(key, value):
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
            f"Received: {key}.shape={shape}"
        )
    return shape


def _check_size(size, received):
    if any(length is not None and length % SIZE_MULTIPLE for length in size):
        raise ValueError(
            f"Height and width must be multiples of {SIZE_MULTIPLE}. "
            f"Received: {received}"
        )


def check_mask_range(mask):
    """Checks that a mask lies in [0, 1].

    Args:
        mask: Tensor or array whose numbers are at hand.

    Raises:
        ValueError: If it does not, or holds a NaN.
    """
    mask = keras.ops.convert_to_numpy(mask)
    # Compared and negated, which catches NaN too.
    if not ((mask >= 0) & (mask <= 1)).all():
        low, high = float(mask.min()), float(mask.max())
        raise ValueError(
            "`mask` must lie in [0, 1], where 1 marks the hole. "
            f"Received: mask with values in [{low}, {high}] or NaN"
        )
