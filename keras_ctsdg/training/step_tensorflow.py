import contextlib
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ctsdg.training.checked_data import unpack_batch
from keras_ctsdg.training.distribution_tensorflow import (
    distribute_shard,
    fill_up,
    process_count,
)
from keras_ctsdg.training.step import BaseTrainingStep


class TrainingStep(BaseTrainingStep):
    """A training step whose gradients are taken by `tf.GradientTape`."""

    _is_alone = False
    _own_function: Any = None

    def train_step(self, data):
        inputs = self.prepare_batch(data)
        with self.whole_batch(inputs):
            return self._train_step(inputs)

    def _train_step(self, inputs):
        generator_variables = self.trainable_state.generator
        discriminator_variables = self.trainable_state.discriminator
        with tf.GradientTape() as tape:
            values, output = self.generator_losses(inputs, training=True)
            objective = self.optimizer.scale_loss(values["generator_loss"])
        gradients = tape.gradient(objective, generator_variables)
        with tf.GradientTape() as tape:
            values |= self.discriminator_losses(inputs, output, training=True)
            objective = self.optimizer.scale_loss(values["discriminator_loss"])
        gradients = gradients + tape.gradient(objective, discriminator_variables)
        # Both gradients are taken before either network is updated.
        self.optimizer.apply(gradients, generator_variables + discriminator_variables)
        return self.update_metrics(self.sum_losses(values), inputs)

    # === Several devices ===

    @property
    def is_shared(self):
        return tf.distribute.get_strategy().num_replicas_in_sync > 1

    def all_sum(self, x):
        context = tf.distribute.get_replica_context()
        if context is None or not self.is_shared:
            return x
        return context.all_reduce(tf.distribute.ReduceOp.SUM, x)

    def prepare_batch(self, data):
        # `tf.distribute` leaves nothing of a small batch to some devices.
        if self.is_shared:
            data = fill_up(unpack_batch(data))
        return super().prepare_batch(data)

    def divide_batch(self, inputs):
        # Keras gives every replica of this process the whole batch.
        replicas = self.distribute_strategy.num_replicas_in_sync // process_count()
        if replicas == 1:
            return inputs
        weights = inputs.get("sample_weight", 1.0)
        size = len(inputs["image"])
        weights = np.broadcast_to(np.asarray(weights, "float32") / replicas, (size,))
        return {**inputs, "sample_weight": weights}

    def fit(self, x=None, *args, validation_data=None, **kwargs):
        x = distribute_shard(x, self.distribute_strategy)
        validation_data = distribute_shard(validation_data, self.distribute_strategy)
        return super().fit(x, *args, validation_data=validation_data, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        x = distribute_shard(x, self.distribute_strategy)
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
