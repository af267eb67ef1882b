import keras
import tensorflow as tf

from keras_ctsdg.models.ctsdg import BaseCTSDG


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class CTSDG(BaseCTSDG):
    def train_step(self, data):
        inputs = self.prepare(data)
        generator_variables = self.generator.trainable_variables
        discriminator_variables = self.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            values, output = self.generator_losses(inputs, training=True)
            objective = self._scale(values["generator_loss"])
        gradients = tape.gradient(objective, generator_variables)
        with tf.GradientTape() as tape:
            values |= self.discriminator_losses(inputs, output, training=True)
            objective = self._scale(values["discriminator_loss"])
        gradients += tape.gradient(objective, discriminator_variables)
        # Both gradients were taken at the same point; only now it moves.
        self.optimizer.apply(gradients, generator_variables + discriminator_variables)
        return self.track(values, inputs)

    def _scale(self, loss):
        """Gradients are summed over replicas, which see a part of the batch each."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return self.optimizer.scale_loss(loss / replicas)
