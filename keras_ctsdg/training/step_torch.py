import torch

from keras_ctsdg.training.step import BaseTrainingStep


class TrainingStep(BaseTrainingStep):
    """A training step whose gradients are taken by `torch.autograd`."""

    def train_step(self, data):
        inputs = self.prepare_batch(data)
        generator_variables = self.generator.trainable_variables
        discriminator_variables = self.discriminator.trainable_variables
        values, output = self.generator_losses(inputs, training=True)
        gradients = self._gradients(values["generator_loss"], generator_variables)
        values |= self.discriminator_losses(inputs, output, training=True)
        gradients += self._gradients(
            values["discriminator_loss"], discriminator_variables
        )
        with torch.no_grad():
            # Both gradients are taken before either network is updated.
            self.optimizer.apply(
                gradients, generator_variables + discriminator_variables
            )
            return self.update_metrics(values, inputs)

    def _gradients(self, loss, variables):
        """Return the gradients of the scaled loss, one tensor per variable."""
        loss = self.optimizer.scale_loss(loss)
        return list(torch.autograd.grad(loss, [v.value for v in variables]))

    def arrange_in_memory(self, variables):
        """Store kernels, and the optimizers' slots for them, in PyTorch's order.

        Shapes and values stay. Of a kernel in Keras' order, `[h, w, in, out]`, PyTorch
        would make a copy in every call.
        """
        for variable in variables:
            if len(variable.shape) == 4:
                kernel = variable.value.data.permute(3, 2, 0, 1)
                kernel = kernel.contiguous(memory_format=torch.channels_last)
                variable.value.data = kernel.permute(2, 3, 1, 0)
