"""The second stage of a training."""

import json
import numbers
from typing import Any

import keras
from keras import ops

from keras_ctsdg._checks import check_positive

LearningRateSchedule = keras.optimizers.schedules.LearningRateSchedule


class FineTuning(keras.callbacks.Callback):
    """Fine-tune as the paper does: lower learning rates, frozen batch statistics.

    From `start_epoch` on, the learning rates below are set, and the generator's batch
    normalization uses its moving statistics in training too. Its scale and offset
    stay trainable. Rates may be schedules, before and after; those below begin with
    step 0 where fine-tuning begins.

    Args:
        start_epoch: Int, the first epoch of fine-tuning, counted from 0.
        learning_rate: Float or `keras.optimizers.schedules.LearningRateSchedule`, the
            generator's learning rate. Defaults to `5e-5`.
        discriminator_learning_rate: Float or schedule, the discriminator's learning
            rate. Defaults to a tenth of `learning_rate`.

    Raises:
        ValueError: If `start_epoch` is not an integer from 0 on, or a learning rate is
            negative, or neither a number nor a schedule.

    Example:

    ```python
    # The paper's 350,000 and 150,000 steps, with 1,000 steps per epoch.
    fine_tuning = keras_ctsdg.callbacks.FineTuning(start_epoch=350)
    model.fit(dataset, epochs=500, callbacks=[fine_tuning])
    ```
    """

    _begun: Any

    def __init__(
        self, start_epoch, learning_rate=5e-5, discriminator_learning_rate=None
    ):
        super().__init__()
        if start_epoch != 0:
            check_positive("start_epoch", start_epoch)
        self.start_epoch = start_epoch
        self.learning_rate = _check_rate("learning_rate", learning_rate)
        if discriminator_learning_rate is None:
            if isinstance(self.learning_rate, LearningRateSchedule):
                discriminator_learning_rate = StageSchedule(learning_rate, factor=0.1)
            else:
                discriminator_learning_rate = self.learning_rate / 10
        self.discriminator_learning_rate = _check_rate(
            "discriminator_learning_rate", discriminator_learning_rate
        )
        self._begun, self._is_set = None, False

    def prepare(self, model):
        """Let the optimizers of a model take the rates; `fit` calls this first.

        An optimizer with a rate that is a number has a variable for it, which one with
        a schedule lacks. It must have the same variables in both stages.

        Args:
            model: A compiled `keras_ctsdg.CTSDG`.
        """
        for optimizer, rate in self._pairs(model):
            before = _fixed_rate(optimizer)
            if before is not None and isinstance(rate, LearningRateSchedule):
                optimizer.learning_rate = StageSchedule(before)

    def _pairs(self, model):
        rates = self.learning_rate, self.discriminator_learning_rate
        optimizers = model.generator_optimizer, model.discriminator_optimizer
        return list(zip(optimizers, rates, strict=True))

    def on_train_begin(self, logs=None):
        self._begun, self._is_set = None, False

    def get_state(self):
        """Return the rates that were set, and the step at which fine-tuning began."""
        return self._begun

    def set_state(self, state):
        """Continue after a state that `get_state` returned."""
        self._begun = state

    def on_epoch_begin(self, epoch, logs=None):
        if epoch < self.start_epoch or self._is_set:
            return
        self._is_set, is_new = True, False
        pairs = self._pairs(self.model)
        described = [_describe(rate) for _, rate in pairs]
        is_resumed = self._begun is not None and self._begun["rates"] == described
        if not is_resumed:
            start = _completed_steps(self.model)
            # Without the state of this callback, the first step is not known exactly.
            start -= (epoch - self.start_epoch) * (self.params.get("steps") or 0)
            self._begun = {"rates": described, "start": max(0, start)}
        begun: Any = self._begun
        for optimizer, rate in pairs:
            if _fixed_rate(optimizer) is None:
                optimizer.learning_rate = StageSchedule(rate, begun["start"])
                is_new = True
            elif not is_resumed:
                # Another callback may have changed it since.
                optimizer.learning_rate = rate
        if is_new or not self.model.freeze_batch_norm:
            self.model.freeze_batch_norm = True
            # The compiled step would go on as before.
            self.model.make_train_function(force=True)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class StageSchedule(LearningRateSchedule):
    """A rate or a schedule that begins at a later step.

    Args:
        rate: Float or `keras.optimizers.schedules.LearningRateSchedule`.
        start: Int, the step of an optimizer that is step 0 of the schedule. Defaults
            to `0`.
        factor: Float, by which the rate is multiplied. Defaults to `1.0`.
    """

    def __init__(self, rate, start=0, factor=1.0):
        super().__init__()
        self.rate = rate
        self.start = start
        self.factor = factor

    def __call__(self, step):
        rate = self.rate
        if isinstance(rate, LearningRateSchedule):
            step = ops.convert_to_tensor(step)
            rate = rate(ops.maximum(step - self.start, 0))
        return ops.cast(rate, "float32") * self.factor

    def get_config(self):
        rate = self.rate
        if isinstance(rate, LearningRateSchedule):
            rate = keras.saving.serialize_keras_object(rate)
        return {"rate": rate, "start": self.start, "factor": self.factor}

    @classmethod
    def from_config(cls, config):
        rate = keras.saving.deserialize_keras_object(config["rate"])
        return cls(**{**config, "rate": rate})


def _fixed_rate(optimizer):
    """Return the rate of an optimizer, or `None` if it follows a schedule."""
    rate = optimizer.get_config()["learning_rate"]
    return rate if isinstance(rate, float) else None


def _completed_steps(model):
    """Return the number of steps that a model was trained with its optimizers."""
    return int(ops.convert_to_numpy(model.generator_optimizer.iterations))


def _describe(rate):
    """Return a rate as a number or, for a schedule, as JSON."""
    if not isinstance(rate, LearningRateSchedule):
        return rate
    return json.dumps(keras.saving.serialize_keras_object(rate), sort_keys=True)


def _check_rate(name, rate):
    if isinstance(rate, LearningRateSchedule):
        return rate
    number = float(rate) if isinstance(rate, numbers.Real) else -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(
            f"`{name}` must be a number from 0 on, or a schedule. "
            f"Received: {name}={rate!r}"
        )
    return number
