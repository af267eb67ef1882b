"""What `fit` needs before Keras takes over."""

import contextlib

import keras

from keras_ctsdg.training.monitors import prepare_callbacks
from keras_ctsdg.training.training_checkpoint import TrainingCheckpoint


@contextlib.contextmanager
def prepared_fit(model, data, kwargs):
    """Check the callbacks of `fit`, and resume a training if one of them is to do it.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        data: Data as `fit` takes it.
        kwargs: Dict, the keyword arguments of `fit`.

    Yields:
        Tuple of the keyword arguments to pass to Keras, and of a function to call with
        the data and the keyword arguments that are then passed to Keras.

    Raises:
        ValueError: If there are two `TrainingCheckpoint`s, the training cannot be
            resumed, or a callback would change a learning rate that follows a schedule.
    """
    if model.compiled:
        kwargs = prepare_callbacks(kwargs, model)
    callbacks = kwargs.get("callbacks")
    callbacks = getattr(callbacks, "callbacks", callbacks)
    callbacks = keras.tree.flatten(callbacks or [])
    found = [x for x in callbacks if isinstance(x, TrainingCheckpoint)]
    if not found or not model.compiled:
        yield kwargs, lambda data, kwargs: None
        return
    if len(found) > 1:
        raise ValueError(
            "`callbacks` must have at most one `TrainingCheckpoint`. Received: "
            f"callbacks with {len(found)}"
        )
    checkpoint = found[0]
    # Last, so that it has the epochs whose files and states are all written.
    callbacks = [*(x for x in callbacks if x is not checkpoint), checkpoint]
    kwargs = {**kwargs, "callbacks": callbacks}
    try:
        epoch = checkpoint.resume(model, data, kwargs)
        kwargs["initial_epoch"] = max(epoch, kwargs.get("initial_epoch", 0))
        yield kwargs, checkpoint.follow_data
    finally:
        checkpoint.end()
