"""Steps that change nothing unless all their numbers are finite."""

from typing import Any

import keras
from keras import ops


class FiniteSteps(keras.Model):
    """A model that knows whether a training step may be applied.

    The subclass of a backend computes losses, gradients and new statistics without
    changing anything, calls `review_step`, and applies all of them or nothing.
    """

    trainable_state: Any
    generator_optimizer: Any
    discriminator_optimizer: Any

    def review_step(self, values, gradients):
        """Decide whether a step is applied, and count it if it is not.

        An update is finite if the rate times the norm of the gradients is, squared in
        float32: below 1e19, which leaves the weights and the slots of an optimizer
        room. So no weight can become infinite, whatever the rate.

        Args:
            values: Dict of scalars, all losses of the step.
            gradients: List of tensors, those of `trainable_state.variables` by the
                scaled losses.

        Returns:
            Scalar bool tensor. Where it is false, nothing but the counters and the
            scales of the losses may change.
        """
        split = len(self.trainable_state.generator)
        rates = [
            ops.square(ops.cast(optimizer.learning_rate, "float32"))
            for optimizer in (self.generator_optimizer, self.discriminator_optimizer)
        ]
        # A sum is NaN or infinite if one of its terms is.
        are_losses_finite = ops.isfinite(sum(values.values()) + sum(rates))
        are_gradients_finite = [
            ops.isfinite(self.sum_of_squares(part) * (1.0 + rate))
            for part, rate in zip(
                (gradients[:split], gradients[split:]), rates, strict=True
            )
        ]
        return self.optimizer.review(
            self.on_all_devices(are_losses_finite),
            [self.on_all_devices(are_finite) for are_finite in are_gradients_finite],
        )

    def sum_of_squares(self, gradients):
        """Return the sum of the squares of all gradients, in float32.

        Args:
            gradients: List of tensors, or `None` for variables without a gradient.

        Returns:
            Scalar tensor.
        """
        total = ops.zeros((), "float32")
        for gradient in gradients:
            if gradient is not None:
                total = total + ops.sum(ops.square(ops.cast(gradient, "float32")))
        return total

    def on_all_devices(self, is_finite):
        """Return whether a flag is true on all devices that share a step.

        Args:
            is_finite: Scalar bool tensor.

        Returns:
            Scalar bool tensor, the same on each device.
        """
        return is_finite

    def train_on_batch(self, *args, **kwargs):
        # Logs of this method are of one batch.
        if self.compiled:
            self.optimizer.bad_steps.assign(0)
        logs = super().train_on_batch(*args, **kwargs)
        if isinstance(logs, dict):
            logs |= count_bad_steps(self)
        return logs


def count_bad_steps(model):
    """Return a dict of `bad_steps`, the number since an epoch began, or an empty one.

    Args:
        model: A compiled `keras_ctsdg.CTSDG`, whose variables have their values.
    """
    number = int(ops.convert_to_numpy(model.optimizer.bad_steps.value))
    return {"bad_steps": number} if number else {}
