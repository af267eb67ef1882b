import keras
import torch

from keras_ctsdg.models.ctsdg import BaseCTSDG


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class CTSDG(BaseCTSDG):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        _order_kernels(self.variables)

    def compile(self, *args, **kwargs):
        super().compile(*args, **kwargs)
        _order_kernels(self.optimizer.variables)
        if self.perceptual_network is not None:
            _order_kernels(self.perceptual_network.variables)

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


def _order_kernels(variables):
    """Puts kernels, and what optimizers hold of them, in memory as PyTorch reads them.

    Their shapes and values stay. In Keras' order, `[h, w, in, out]`, PyTorch would
    copy every kernel in every call.
    """
    for variable in variables:
        if len(variable.shape) == 4:
            kernel = variable.value.data.permute(3, 2, 0, 1)
            kernel = kernel.contiguous(memory_format=torch.channels_last)
            variable.value.data = kernel.permute(2, 3, 1, 0)
