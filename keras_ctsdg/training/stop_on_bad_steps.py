"""Stop a training whose steps are not finite."""

from pathlib import Path
from typing import Any

import keras

from keras_ctsdg._checks import check_positive
from keras_ctsdg.models._value_checks import check_finite_weights
from keras_ctsdg.training.finite_steps import count_bad_steps


class StopOnBadSteps(keras.callbacks.Callback):
    """Stop a training after too many steps in a row whose numbers are not finite.

    A step whose losses or gradients are NaN or infinite changes nothing: neither
    weights, optimizers and statistics nor metrics. Where an epoch has such steps, the
    logs have their number as `bad_steps`. Under `mixed_float16`, a step that a smaller
    loss scale may cure is left out too, and is not counted.

    `fit` uses this callback with its default arguments, unless it is given one.

    Args:
        max_bad_steps: Int, the number of bad steps in a row at which the training
            stops. `None` counts them and never stops. Defaults to `10`.
        checkpoint: Path of the last checkpoint, or a function that returns it or
            `None`, for the message of the error. Defaults to `None`.

    Raises:
        ValueError: If `max_bad_steps` is not a positive integer or `None`.
        FloatingPointError: In `fit`, if there were too many bad steps. The model is as
            it was before them.

    Example:

    ```python
    stop = keras_ctsdg.callbacks.StopOnBadSteps(3, checkpoint="model.keras")
    model.fit(dataset, callbacks=[stop])
    ```
    """

    def __init__(self, max_bad_steps=10, checkpoint=None):
        super().__init__()
        if max_bad_steps is not None:
            check_positive("max_bad_steps", max_bad_steps)
        self.max_bad_steps = max_bad_steps
        self.checkpoint = checkpoint

    def on_train_begin(self, logs=None):
        self.model.optimizer.bad_steps_in_row.assign(0)
        self._steps_until_check = self.max_bad_steps
        self._last_batch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.bad_steps.assign(0)
        self._last_batch = 0

    # Not where a step ends: Keras would then wait for the logs of each step.
    def on_train_batch_begin(self, batch, logs=None):
        self._count_steps(batch - self._last_batch)
        self._last_batch = batch

    def on_epoch_end(self, epoch, logs=None):
        self._check()
        if logs is not None:
            logs.update(count_bad_steps(self.model))

    def _count_steps(self, steps):
        """Look at the counter no sooner than the limit can be reached.

        This waits for the device.
        """
        if self.max_bad_steps is None:
            return
        self._steps_until_check -= steps
        if self._steps_until_check <= 0:
            self._check()

    def _check(self):
        if self.max_bad_steps is None:
            return
        # On JAX, `self.model` puts the values back into the variables.
        in_row = self.model.optimizer.bad_steps_in_row.value
        in_row = int(keras.ops.convert_to_numpy(in_row))
        self._steps_until_check = self.max_bad_steps - in_row
        if in_row >= self.max_bad_steps:
            raise FloatingPointError(self._message(in_row))

    def _message(self, in_row):
        checkpoint: Any = self.checkpoint
        if callable(checkpoint):
            checkpoint = checkpoint()
        advice = "Lower the learning rate, or look at the images of these steps. "
        try:
            check_finite_weights(self.model, "be trained")
        except ValueError as error:
            advice = f"{error}. "
        if checkpoint is not None and Path(checkpoint).exists():
            advice += f"The last finite checkpoint is {checkpoint}. "
        return (
            "Losses and gradients must be finite. The last steps were not, and changed "
            f"nothing. {advice}Received: {in_row} bad steps in a row, "
            f"max_bad_steps={self.max_bad_steps}"
        )
