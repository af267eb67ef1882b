"""Scaling of losses for float16, with a scale for each network."""

import functools

import keras
from keras import ops

NETWORKS = ("generator", "discriminator")
# A gradient that overflows at this scale would overflow without any.
MIN_SCALE = 1.0


class ScaledOptimizer(keras.optimizers.LossScaleOptimizer):
    """A `PairedOptimizer` whose losses are scaled, each network's by its own scale.

    As in Keras' optimizer, a scale is halved where the gradients of its network
    overflow, and doubled after `dynamic_growth_steps` steps without an overflow. Keras'
    callbacks find the two optimizers here, too, and set their learning rates.

    Args:
        inner_optimizer: A `keras_ctsdg.training.optimizer.PairedOptimizer`.
        **kwargs: Arguments of `keras.optimizers.LossScaleOptimizer`.
    """

    @property
    def optimizers(self):
        return self.inner_optimizer.optimizers

    @property
    def bad_steps(self):
        return self.inner_optimizer.bad_steps

    @property
    def bad_steps_in_row(self):
        return self.inner_optimizer.bad_steps_in_row

    def build(self, var_list):
        self.scales = {
            name: LossScale(self, name, self.initial_scale, self.dynamic_growth_steps)
            for name in NETWORKS
        }
        self.inner_optimizer.build(var_list)
        # Keras' `LossScaleOptimizer` would add a scale for both networks.
        super(keras.optimizers.LossScaleOptimizer, self).build(var_list)

    # === Steps ===

    def scale_loss(self, loss, network):
        """Return the scaled loss of a network.

        Args:
            loss: Scalar tensor.
            network: `"generator"` or `"discriminator"`.

        Returns:
            Scalar tensor.
        """
        return loss * ops.cast(self.scales[network].value, loss.dtype)

    def review(self, are_losses_finite, are_gradients_finite):
        """Decide as a `PairedOptimizer` does, and adapt the scales.

        An overflow that a smaller scale may cure is no bad step, though both networks
        leave the step out.
        """
        overflows = [
            ops.logical_and(
                ops.logical_and(are_losses_finite, ops.logical_not(are_finite)),
                scale.value > MIN_SCALE,
            )
            for scale, are_finite in zip(
                self.scales.values(), are_gradients_finite, strict=True
            )
        ]
        is_good = are_all_true(are_losses_finite, *are_gradients_finite)
        for scale, is_overflow in zip(self.scales.values(), overflows, strict=True):
            scale.update(is_good, is_overflow)
        is_skipped = ops.logical_or(is_good, ops.logical_or(*overflows))
        self.inner_optimizer.count(is_good, ops.logical_not(is_skipped))
        return is_good

    # Whether a step is applied is decided by `review`, not here.

    def apply(self, grads, trainable_variables=None):
        self.inner_optimizer.apply(self._unscale(grads), trainable_variables)

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        own = len(self._variables)
        pairs = zip(self.variables, optimizer_variables, strict=True)
        with keras.StatelessScope(list(pairs)):
            grads = self._unscale(grads)
        trainable, inner = self.inner_optimizer.stateless_apply(
            optimizer_variables[own:], grads, trainable_variables
        )
        return trainable, optimizer_variables[:own] + inner

    def _unscale(self, gradients):
        generator, discriminator = (scale.value for scale in self.scales.values())
        return [
            None
            if gradient is None
            else gradient
            / ops.cast(generator if is_generators else discriminator, gradient.dtype)
            for gradient, is_generators in zip(
                gradients, self.inner_optimizer.are_generators, strict=True
            )
        ]

    # === Saving ===
    # Keras would save the variables of the inner optimizers a second time.

    def save_own_variables(self, store):
        for name, scale in self.scales.items():
            store[f"{name}_scale"] = ops.convert_to_numpy(scale.value)
            store[f"{name}_steps"] = ops.convert_to_numpy(scale.steps)

    def load_own_variables(self, store):
        for name, scale in self.scales.items():
            # Earlier versions saved Keras' variables, with one scale for both networks.
            is_earlier = f"{name}_scale" not in store.keys()
            steps, value = (
                ("2", "3") if is_earlier else (f"{name}_steps", f"{name}_scale")
            )
            scale.steps.assign(store[steps][()])
            scale.value.assign(store[value][()])


def are_all_true(*flags):
    """Return whether all of some scalar bool tensors are true, as another."""
    return functools.reduce(ops.logical_and, flags)


class LossScale:
    """The scale of one network's loss.

    Args:
        optimizer: The optimizer that holds the variables.
        name: Str, the name of the network.
        initial: Float, the scale at the start.
        growth_steps: Int, the number of steps without an overflow that double it.
    """

    def __init__(self, optimizer, name, initial, growth_steps):
        self.growth_steps = growth_steps
        shared = {"shape": (), "aggregation": "only_first_replica"}
        self.value = optimizer.add_variable(
            initializer=keras.initializers.Constant(initial),
            dtype="float32",
            name=f"{name}_scale",
            **shared,
        )
        self.steps = optimizer.add_variable(dtype="int", name=f"{name}_steps", **shared)

    def update(self, is_good, is_overflow):
        """Adapt the scale to a step that is applied, or that this network overflowed.

        Args:
            is_good: Scalar bool tensor.
            is_overflow: Scalar bool tensor.
        """
        # JAX takes no variables in `where`.
        before, value = map(ops.convert_to_tensor, (self.steps, self.value))
        steps = before + 1
        grows = steps >= self.growth_steps
        steps = ops.where(grows, 0, steps)
        grown = ops.where(grows, 2.0 * value, value)
        kept = ops.where(is_good, steps, before)
        self.steps.assign(ops.where(is_overflow, ops.zeros_like(kept), kept))
        kept = ops.where(is_good, grown, value)
        halved = ops.maximum(value / 2.0, MIN_SCALE)
        self.value.assign(ops.where(is_overflow, halved, kept))
