import keras
import torch

from keras_ctsdg.models.ctsdg import BaseCTSDG


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class CTSDG(BaseCTSDG):
    def train_step(self, data):
        inputs = self.prepare(data)
        generator_variables = self.generator.trainable_variables
        discriminator_variables = self.discriminator.trainable_variables
        values, output = self.generator_losses(inputs, training=True)
        gradients = self._gradients(values["generator_loss"], generator_variables)
        values |= self.discriminator_losses(inputs, output, training=True)
        gradients += self._gradients(
            values["discriminator_loss"], discriminator_variables
        )
        with torch.no_grad():
            # Both gradients were taken at the same point; only now it moves.
            self.optimizer.apply(
                gradients, generator_variables + discriminator_variables
            )
            return self.track(values, inputs)

    def _gradients(self, loss, variables):
        loss = self.optimizer.scale_loss(loss)
        return list(torch.autograd.grad(loss, [v.value for v in variables]))
