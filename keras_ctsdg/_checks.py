"""Argument checks that several parts of the package share."""


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
    """Check that a number is at least 1.

    Args:
        name: Str, the name of the argument in the error.
        value: The argument, a number.

    Returns:
        The value as an int.

    Raises:
        ValueError: If the value is less than 1.
    """
    if value < 1:
        raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
    return int(value)
