"""Callbacks that monitor a metric: its direction, and rates they cannot change."""

import keras

from keras_ctsdg import metrics
from keras_ctsdg.training.fine_tuning import FineTuning
from keras_ctsdg.training.stop_on_bad_steps import StopOnBadSteps

MODES = {metrics.PSNR: "max", metrics.SSIM: "max", metrics.MeanAbsoluteError: "min"}


def prepare_callbacks(kwargs, model):
    """Check and complete callbacks before a training.

    Each is told the direction of its metric, which for `mode="auto"` Keras finds only
    of metrics that its own `compile` was given. Without a `StopOnBadSteps`, one is
    added.

    Args:
        kwargs: Dict, the keyword arguments of `fit`.
        model: A compiled `keras_ctsdg.CTSDG`.

    Returns:
        Dict, the keyword arguments to pass to Keras.

    Raises:
        ValueError: If a callback would change a learning rate that follows a schedule.
    """
    callbacks = kwargs.get("callbacks")
    given = keras.tree.flatten(getattr(callbacks, "callbacks", callbacks) or [])
    for callback in given:
        if isinstance(callback, FineTuning):
            callback.prepare(model)
    for callback in given:
        if getattr(callback, "mode", None) == "auto":
            name = getattr(callback, "monitor", "").removeprefix("val_")
            callback.mode = find_mode(name, model)
        if isinstance(
            callback,
            (
                keras.callbacks.ReduceLROnPlateau,
                keras.callbacks.LearningRateScheduler,
            ),
        ):
            check_rates_are_settable(type(callback).__name__, model)
    if any(isinstance(callback, StopOnBadSteps) for callback in given):
        return kwargs
    stop = StopOnBadSteps()
    if isinstance(callbacks, keras.callbacks.CallbackList):
        stop.set_model(model)
        callbacks.callbacks.append(stop)
        return kwargs
    # The first one, so that the others have its logs.
    return {**kwargs, "callbacks": [stop, *given]}


def find_mode(name, model):
    """Return whether a log should become smaller or larger.

    Args:
        name: Str, the name of a log, without `val_`.
        model: A `keras_ctsdg.CTSDG`.

    Returns:
        `"min"`, `"max"` or, for a log of another name, `"auto"`.
    """
    if name in ("loss", *model.loss_trackers):
        return "min"
    if name == "images_per_second":
        return "max"
    for metric in model.image_metrics:
        # Names of mask-ratio bins follow the metric's.
        if name == metric.name or name.startswith(f"{metric.name}_"):
            return MODES.get(type(metric), "auto")
    return "auto"


def check_rates_are_settable(callback, model):
    """Check that neither learning rate of a model follows a schedule.

    Args:
        callback: Str, the name of the callback in the error.
        model: A compiled `keras_ctsdg.CTSDG`.

    Raises:
        ValueError: If one of them does.
    """
    for role in ("generator", "discriminator"):
        optimizer = getattr(model, f"{role}_optimizer")
        rate = optimizer.get_config()["learning_rate"]
        if not isinstance(rate, float):
            raise ValueError(
                f"`{callback}` sets learning rates, which must then be numbers and "
                "not schedules. Compile the model with a number. "
                f"Received: {role}_optimizer with learning_rate={rate}"
            )
