import tensorflow as tf

from keras_ctsdg.training.step import BaseTrainingStep


class TrainingStep(BaseTrainingStep):
    """A training step whose gradients are taken by `tf.GradientTape`."""

    def train_step(self, data):
        inputs = self.prepare_batch(data)
        generator_variables = self.trainable_state.generator
        discriminator_variables = self.trainable_state.discriminator
        with tf.GradientTape() as tape:
            values, output = self.generator_losses(inputs, training=True)
            objective = self._scale_loss(values["generator_loss"])
        gradients = tape.gradient(objective, generator_variables)
        with tf.GradientTape() as tape:
            values |= self.discriminator_losses(inputs, output, training=True)
            objective = self._scale_loss(values["discriminator_loss"])
        gradients = gradients + tape.gradient(objective, discriminator_variables)
        # Both gradients are taken before either network is updated.
        self.optimizer.apply(gradients, generator_variables + discriminator_variables)
        return self.update_metrics(values, inputs)

    def _scale_loss(self, loss):
        """Scale a loss, divided by the replicas over which gradients are summed."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return self.optimizer.scale_loss(loss / replicas)
