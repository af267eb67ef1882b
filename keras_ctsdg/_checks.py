"""Argument checks that several parts of the package share."""

import numbers
import os
from pathlib import Path


def check_choice(name, value, choices):
    """Check that an argument is one of several values.

    Args:
        name: Str, the name of the argument in the error.
        value: The argument.
        choices: Enum class of strings, or tuple of strings and `None`.

    Returns:
        The value as a plain str, or `None`.

    Raises:
        ValueError: If the value is none of the choices.
    """
    choices = tuple(choices)
    if not isinstance(value, (str, type(None))) or value not in choices:
        names = ", ".join("None" if x is None else f'"{x}"' for x in choices)
        raise ValueError(f"`{name}` must be one of {names}. Received: {name}={value!r}")
    return None if value is None else str(value)


def check_positive(name, value):
    """Check that a number is a positive integer.

    Args:
        name: Str, the name of the argument in the error.
        value: The argument; a float without fraction will do.

    Returns:
        The value as an int.

    Raises:
        ValueError: If the value is less than 1, has a fraction, or is no number.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    number = float(value) if is_number else 0.0
    # The remainder of an infinite number is NaN, and NaN is not equal to 0.
    if not number >= 1 or number % 1 != 0:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={value!r}"
        )
    return int(number)


def check_writable_folder(name, folder):
    """Check that files can be written to a folder, which need not exist yet.

    Args:
        name: Str, the name of the argument in the error.
        folder: Path of the folder.

    Raises:
        ValueError: If a file is in the way, or permission is lacking.
    """
    folder = Path(folder).absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise ValueError(
            f"`{name}` must be a folder. Received: {name}={folder}, where {existing} "
            "is a file"
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(
            f"`{name}` must be a folder that can be written to. Received: "
            f"{name}={folder}, without permission for {existing}"
        )


def check_instance(name, value, kind):
    """Check that an argument is one of this package's networks.

    Args:
        name: Str, the name of the argument.
        value: The argument.
        kind: Public class of `keras_ctsdg.models`.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, kind):
        raise ValueError(
            f"`{name}` must be a `keras_ctsdg.models.{kind.__name__}`. "
            f"Received: {name}={value} of type {type(value).__name__}"
        )
