import contextlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ctsdg._keras_private import BuiltModel
from keras_ctsdg.training.checked_data import unpack_batch
from keras_ctsdg.training.distribution_tensorflow import (
    FollowData,
    distribute_batches,
    fill_up,
    process_count,
)
from keras_ctsdg.training.step import BaseTrainingStep


class TrainingStep(BuiltModel, BaseTrainingStep):
    """A training step whose gradients are taken by `tf.GradientTape`."""

    _is_alone = False
    _own_function: Any = None

    def train_step(self, data):
        inputs = self.prepare_batch(data)
        with self.whole_batch(inputs):
            return _for_average(self._train_step(inputs))

    def test_step(self, data):
        return _for_average(super().test_step(data))

    def _train_step(self, inputs):
        generator_variables = self.trainable_state.generator
        discriminator_variables = self.trainable_state.discriminator
        # New statistics wait in the scope until the step is reviewed.
        with keras.StatelessScope() as scope:
            with tf.GradientTape() as tape:
                values, output = self.generator_losses(inputs, training=True)
                objective = self.optimizer.scale_loss(
                    values["generator_loss"], "generator"
                )
            gradients = tape.gradient(objective, generator_variables)
            with tf.GradientTape() as tape:
                losses = self.discriminator_losses(inputs, output, training=True)
                loss = losses["discriminator_loss"]
                objective = self.optimizer.scale_loss(loss, "discriminator")
            gradients = gradients + tape.gradient(objective, discriminator_variables)
        values = self.sum_losses(values | losses)
        is_finite = self.review_step(values, gradients)
        # Both gradients are taken before either network is updated.
        self._apply_if(is_finite, gradients)
        for variable in self.non_trainable_variables:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(tf.where(is_finite, value, variable.value))
        return self.update_metrics(values, inputs, is_applied=is_finite)

    def _apply_if(self, is_finite, gradients):
        """Apply gradients if a flag is true, which is the same on all replicas."""
        variables = self.trainable_state.variables
        strategy = tf.distribute.get_strategy()
        if strategy.num_replicas_in_sync == 1:
            tf.cond(
                is_finite,
                lambda: self.optimizer.apply(gradients, variables),
                lambda: None,
            )
            return

        # An optimizer meets the other replicas, which it cannot within `tf.cond`.
        def apply_on_all(strategy, is_finite, gradients):
            apply = self.optimizer.apply
            tf.cond(
                strategy.experimental_local_results(is_finite)[0],
                lambda: strategy.extended.call_for_each_replica(
                    apply, args=(gradients, variables)
                ),
                lambda: None,
            )

        context = tf.distribute.get_replica_context()
        context.merge_call(apply_on_all, args=(is_finite, gradients))

    def on_all_devices(self, is_finite):
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync == 1:
            return is_finite
        failures = tf.cast(tf.logical_not(is_finite), "float32")
        return context.all_reduce(tf.distribute.ReduceOp.SUM, failures) == 0.0

    def sum_of_squares(self, gradients):
        # Unlike a sum of squares, `l2_loss` needs no memory for the squares.
        return sum(
            (
                2.0 * tf.nn.l2_loss(tf.cast(gradient, "float32"))
                for gradient in gradients
                if gradient is not None
            ),
            tf.zeros(()),
        )

    # === Several devices ===

    @property
    def is_shared(self):
        return tf.distribute.get_strategy().num_replicas_in_sync > 1

    def all_sum(self, x):
        context = tf.distribute.get_replica_context()
        if context is None or not self.is_shared:
            return x
        # The sum goes where `x` is, and the value of a variable is on no device.
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(x))

    def prepare_batch(self, data):
        # `tf.distribute` leaves nothing of a small batch to some devices.
        if self.is_shared:
            data = fill_up(unpack_batch(data))
        return super().prepare_batch(data)

    def load_batch(self, batch):
        inputs = super().load_batch(batch)
        # Keras gives every replica of this process the whole batch.
        replicas = self.distribute_strategy.num_replicas_in_sync // process_count()
        if replicas == 1:
            return inputs
        weights = inputs.get("sample_weight", 1.0)
        size = len(inputs["image"])
        weights = np.broadcast_to(np.asarray(weights, "float32") / replicas, (size,))
        return {**inputs, "sample_weight": weights}

    def fit(self, x=None, *args, validation_data=None, shuffle=True, **kwargs):
        strategy = self.distribute_strategy
        batches = distribute_batches(x, strategy, shuffle)
        if batches is not x and hasattr(x, "on_epoch_end"):
            others = keras.tree.flatten(kwargs.get("callbacks") or [])
            kwargs["callbacks"] = [FollowData(x), *others]
        validation_data = distribute_batches(validation_data, strategy)
        return super().fit(
            batches, *args, validation_data=validation_data, shuffle=shuffle, **kwargs
        )

    def evaluate(self, x=None, *args, **kwargs):
        x = distribute_batches(x, self.distribute_strategy)
        return super().evaluate(x, *args, **kwargs)

    # === Prediction ===

    def predict(self, *args, **kwargs):
        # Each process predicts its own data, whatever the others do.
        with self._alone(process_count() > 1):
            return super().predict(*args, **kwargs)

    def predict_on_batch(self, x):
        # Keras would give the whole batch to every device, and return it from each.
        with self._alone(self.distribute_strategy.num_replicas_in_sync > 1):
            return super().predict_on_batch(x)

    def generate_on_batch(self, inputs):
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return super().generate_on_batch(inputs)
        outputs = self.generator(inputs, training=False)
        return {key: x.numpy() for key, x in outputs.items()}

    def predict_step(self, data):
        return self.fill_batch(self.prepare_batch(data))

    @property
    def distribute_strategy(self):
        if self._is_alone:
            return tf.distribute.get_strategy()
        return super().distribute_strategy

    @contextlib.contextmanager
    def _alone(self, is_alone):
        """Predict on one device."""
        if not is_alone:
            yield
            return
        if tf.distribute.has_strategy():
            raise RuntimeError(
                "With a model of several devices, images must be filled outside of "
                "the strategy's `scope()`, in which only models are created. "
                "Received: a call within `scope()`"
            )
        function, self.predict_function = self.predict_function, self._own_function
        self._is_alone = True
        try:
            yield
        finally:
            self._is_alone = False
            self._own_function = self.predict_function
            self.predict_function = function


def _for_average(logs):
    """Return logs as Keras averages them, which are the same on all devices.

    Of several hosts it takes the mean over the first axis, too.
    """
    if process_count() == 1:
        return logs
    return {name: value[None] for name, value in logs.items()}
