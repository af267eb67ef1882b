"""The model that a command is given."""


def load_model(path):
    """A saved CTSDG, to fill with and not to train on.

    Args:
        path: `Path` of a `.keras` file.

    Raises:
        ValueError: If it is none.
    """
    import keras

    from keras_ctsdg import CTSDG

    if not path.is_file():
        raise ValueError(f"MODEL must be a `.keras` file. Received: {path}")
    model = keras.saving.load_model(path, compile=False)
    if not isinstance(model, CTSDG):
        raise ValueError(
            f"MODEL must hold a CTSDG. Received: {path}, a {type(model).__name__}"
        )
    return model
