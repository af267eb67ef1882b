import keras
import tensorflow as tf

from keras_ctsdg.training.step import BaseTrainingStep


class TrainingStep(BaseTrainingStep):
    """A training step whose gradients are taken by `tf.GradientTape`."""

    def train_step(self, data):
        inputs = self.prepare_batch(data)
        generator_variables = self.trainable_state.generator
        discriminator_variables = self.trainable_state.discriminator
        # New statistics wait in the scope until the step is reviewed.
        with keras.StatelessScope() as scope:
            with tf.GradientTape() as tape:
                values, output = self.generator_losses(inputs, training=True)
                objective = self._scale_loss(values["generator_loss"], "generator")
            gradients = tape.gradient(objective, generator_variables)
            with tf.GradientTape() as tape:
                losses = self.discriminator_losses(inputs, output, training=True)
                loss = losses["discriminator_loss"]
                objective = self._scale_loss(loss, "discriminator")
            gradients = gradients + tape.gradient(objective, discriminator_variables)
        values |= losses
        is_finite = self.review_step(values, gradients)
        # Both gradients are taken before either network is updated.
        self._apply_if(is_finite, gradients)
        for variable in self.non_trainable_variables:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(tf.where(is_finite, value, variable.value))
        return self.update_metrics(values, inputs, is_applied=is_finite)

    def _scale_loss(self, loss, network):
        """Scale a loss, divided by the replicas over which gradients are summed."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return self.optimizer.scale_loss(loss / replicas, network)

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
