import jax
import keras

from keras_ctsdg.models.ctsdg import BaseCTSDG


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class CTSDG(BaseCTSDG):
    # Keras takes the variables' values out for the time of these two, and on an
    # error would not put them back.

    def evaluate(self, *args, **kwargs):
        try:
            return super().evaluate(*args, **kwargs)
        finally:
            self.jax_state_sync()

    def predict(self, *args, **kwargs):
        try:
            return super().predict(*args, **kwargs)
        finally:
            self.jax_state_sync()

    def train_step(self, state, data):
        trainable, others, optimizer, metrics = state
        inputs = self.prepare(data)
        split = len(self.generator.trainable_variables)

        def generator_objective(generator):
            mapping = self._mapping(generator + trainable[split:], others, optimizer)
            with keras.StatelessScope(mapping) as scope:
                values, output = self.generator_losses(inputs, training=True)
                objective = self.optimizer.scale_loss(values["generator_loss"])
            return objective, (values, output, self._others_in(scope))

        gradients, (values, output, others) = jax.grad(
            generator_objective, has_aux=True
        )(trainable[:split])

        def discriminator_objective(discriminator):
            mapping = self._mapping(
                trainable[:split] + discriminator, others, optimizer
            )
            with keras.StatelessScope(mapping) as scope:
                values = self.discriminator_losses(inputs, output, training=True)
                objective = self.optimizer.scale_loss(values["discriminator_loss"])
            return objective, (values, self._others_in(scope))

        discriminator_gradients, (discriminator_values, others) = jax.grad(
            discriminator_objective, has_aux=True
        )(trainable[split:])

        # Both gradients were taken at the same point; only now it moves.
        trainable, optimizer = self.optimizer.stateless_apply(
            optimizer, gradients + discriminator_gradients, trainable
        )
        logs, metrics = self._track(values | discriminator_values, inputs, metrics)
        return logs, (trainable, others, optimizer, metrics)

    def test_step(self, state, data):
        trainable, others, metrics = state
        inputs = self.prepare(data)
        with keras.StatelessScope(self._mapping(trainable, others)):
            values, output = self.generator_losses(inputs, training=False)
            values |= self.discriminator_losses(inputs, output, training=False)
        logs, metrics = self._track(values, inputs, metrics, output)
        return logs, (trainable, others, metrics)

    def _mapping(self, trainable, others, optimizer=()):
        """Pairs (variable, value) of all that a forward pass reads."""
        mapping = list(zip(self.trainable_variables, trainable, strict=True))
        mapping += zip(self.non_trainable_variables, others, strict=True)
        if optimizer:
            mapping += zip(self.optimizer.variables, optimizer, strict=True)
        return mapping

    def _others_in(self, scope):
        """Batch statistics and power iterations as a forward pass left them."""
        return [scope.get_current_value(v) for v in self.non_trainable_variables]

    def _track(self, values, inputs, metrics, output=None):
        mapping = zip(self.metrics_variables, metrics, strict=True)
        with keras.StatelessScope(list(mapping)) as scope:
            logs = self.track(values, inputs, output)
        return logs, [scope.get_current_value(v) for v in self.metrics_variables]
