"""Checks of the values of inputs and weights, made on the host."""

import keras
import numpy as np

from keras_ctsdg.conventions import RANGES

# Resampling and half precision exceed a range by less than this.
TOLERANCE = 1e-3
# Kinds of NumPy dtypes that cannot hold an image in [-1, 1]: bool and integers.
INTEGER_KINDS = "biu"
# Objects, strings, times and complex numbers.
OTHER_KINDS = "OSUMmc"


def check_values(inputs, keys):
    """Check that all values of a network's inputs are finite and in their range.

    Args:
        inputs: Dict of arrays, or tensors with concrete values, `[B, H, W, C]` each.
        keys: Tuple of str, the names of the inputs to check.

    Raises:
        ValueError: If a value breaks a rule of `keras_ctsdg.CTSDG`. The message names
            the input and the index of its sample, and says what was probably meant.
    """
    for key in keys:
        values = _to_numpy(inputs[key])
        if values.dtype.kind in OTHER_KINDS:
            raise ValueError(
                f"`{key}` must hold real numbers. Received: {key}.dtype={values.dtype}"
            )
        for i, sample in enumerate(values):
            _check_sample(key, f"{key}[{i}]", sample)


def _check_sample(key, name, sample):
    """Check the values of one of the inputs of a sample, `[H, W, C]`."""
    # Both are NaN where any value is.
    low, high = sample.min().item(), sample.max().item()
    if not (np.isfinite(low) and np.isfinite(high)):
        count = np.count_nonzero(~np.isfinite(sample.astype("float32")))
        raise ValueError(
            f"`{key}` must be finite. Received: {name} with {count} of {sample.size} "
            "values NaN or infinite"
        )
    bottom, top = RANGES[key]
    is_inside = bottom - TOLERANCE <= low and high <= top + TOLERANCE
    needs_floats = key in ("image", "gray")
    is_integer = sample.dtype.kind in INTEGER_KINDS
    received = (
        f"Received: {name} with values from {low:g} to {high:g}, dtype={sample.dtype}"
    )
    if not is_inside or (needs_floats and is_integer):
        raise ValueError(
            f"`{key}` must {'hold floats' if needs_floats else 'lie'} in "
            f"[{bottom}, {top}]{', where 1 marks the hole' if key == 'mask' else ''}. "
            f"{_value_advice(key, low, high, is_integer)}{received}"
        )
    if key == "edge" and not ((sample == 0) | (sample == 1)).all():
        raise ValueError(
            "`edge` must be 0 or 1; soft edges need a threshold, edge >= 0.5. "
            f"{received}"
        )


def _value_advice(key, low, high, is_integer):
    """Return a sentence on the range that values probably have, or an empty str."""
    for top in (255, 65535):
        if 0 <= low and high <= top:
            change = f"divide by {top}"
            if key == "image":
                change = f"divide by {top / 2} and subtract 1"
            return f"If these are levels from 0 to {top}, {change}. "
    if is_integer:
        return ""
    if key != "image":
        if -1 - TOLERANCE <= low and high <= 1 + TOLERANCE:
            return "If these are values from -1 to 1, add 1 and divide by 2. "
    elif -1.5 <= low and high <= 1.5:
        return "If these are overshoots of a resampling, np.clip(image, -1, 1). "
    elif -4 <= low and high <= 4:
        return "If a mean and a standard deviation normalized the image, undo that. "
    return ""


def _to_numpy(values):
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "detach"):
        # A tensor of PyTorch, which another backend cannot convert from a GPU.
        values = values.detach().cpu()
    return keras.ops.convert_to_numpy(values)


def check_finite_weights(model, purpose):
    """Check that no weight of a model is NaN or infinite.

    Args:
        model: A Keras model.
        purpose: Str that ends the sentence "All weights must be finite to".

    Raises:
        ValueError: If a weight is not finite. The message names its variable.
    """
    for variable in model.variables:
        values = _to_numpy(variable.value)
        if values.dtype.kind in INTEGER_KINDS or not values.size:
            continue
        # Unlike `isfinite` of all values, this allocates nothing.
        if not (np.isfinite(values.min()) and np.isfinite(values.max())):
            raise ValueError(
                f"All weights must be finite to {purpose}; train again from weights "
                "that are. Received: NaN or infinite values in "
                f"{variable.path}"
            )


def check_finite_result(filled, generator):
    """Check that filled images hold no NaN and no infinite value.

    The weights, which are many more numbers, are looked at only if one does.

    Args:
        filled: Array `[B, H, W, 3]`.
        generator: `keras_ctsdg.models.Generator` that filled them.

    Raises:
        ValueError: If a value is not finite. The message names a weight that is not
            either, or says that the network's numbers exceed their dtype.
    """
    if np.isfinite(filled).all():
        return
    check_finite_weights(generator, "fill images")
    raise ValueError(
        "Filled images must be finite; numbers in the network exceed the range of its "
        f'dtype, load it with `dtype="float32"`. Received: {generator.dtype_policy}'
    )
