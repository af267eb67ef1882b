import keras

from keras_ctsdg import _keras_private


class PairedOptimizer(keras.optimizers.MultiOptimizer):
    """The generator's and the discriminator's optimizer as a single one.

    Keras' own `fit`, saving and resuming then work with one optimizer.

    Args:
        generator: A `keras_ctsdg.models.Generator`.
        generator_optimizer: Keras optimizer of the generator's variables.
        discriminator_optimizer: Keras optimizer of all other variables.
    """

    def __init__(self, generator, generator_optimizer, discriminator_optimizer):
        # Names and paths of variables need not be unique.
        generator_variables = {id(variable) for variable in generator.variables}

        def choose(variable):
            if id(variable) in generator_variables:
                return generator_optimizer
            return discriminator_optimizer

        super().__init__(choose, name="paired_optimizer")

    def build(self, variables):
        # In a function, because Keras would track them as the optimizer's own.
        self._list_trained = lambda: variables
        super().build(variables)

    def finalize_variable_values(self, var_list):
        # The list that Keras passes has layers that were thawed since, which the
        # optimizers do not know.
        super().finalize_variable_values(self._list_trained())

    # Keras saves the two inner optimizers on their own. `MultiOptimizer` would save
    # their slots, which are twice as large as the networks, a second time.

    def save_own_variables(self, store):
        store["iterations"] = keras.ops.convert_to_numpy(self.iterations)

    def load_own_variables(self, store):
        self.iterations.assign(store["iterations"][()])


class ScaledOptimizer(keras.optimizers.LossScaleOptimizer):
    """A `PairedOptimizer` whose losses are scaled, for float16.

    Keras' callbacks find the two optimizers here, too, and set their learning rates.
    """

    @property
    def optimizers(self):
        return self.inner_optimizer.optimizers


def serialize_optimizer(optimizer):
    """Serialize an optimizer so that every backend can deserialize it.

    Args:
        optimizer: A Keras optimizer.

    Returns:
        Dict, for `keras.saving.deserialize_keras_object`.
    """
    config = keras.saving.serialize_keras_object(optimizer)
    if _keras_private.is_backend_optimizer(config):
        config |= {"module": "keras.optimizers", "registered_name": None}
    return config


def check_trainable_dtype(*networks):
    """Check that the weights of networks are precise enough for training.

    Args:
        *networks: Models of Keras.

    Raises:
        ValueError: If weights are of float16. The squared gradients that Adam divides
            by would underflow, and all weights become NaN in one step.
    """
    for network in networks:
        if network.variable_dtype == "float16":
            raise ValueError(
                "Weights of float16 can fill images and cannot be trained. Create the "
                'networks with the policy "mixed_float16" or "mixed_bfloat16". '
                f"Received: {network.name} with weights of float16"
            )


def pair_optimizers(model, scale_loss):
    """Join the two optimizers of a model, named by their roles.

    By these names logs report the learning rates.

    Args:
        model: A `keras_ctsdg.CTSDG` with both optimizers.
        scale_loss: Bool, whether losses are scaled under the policy `mixed_float16`.

    Returns:
        A Keras optimizer.
    """
    model.generator_optimizer.name = "generator"
    model.discriminator_optimizer.name = "discriminator"
    optimizer = PairedOptimizer(
        model.generator, model.generator_optimizer, model.discriminator_optimizer
    )
    if scale_loss and model.dtype_policy.name == "mixed_float16":
        return ScaledOptimizer(optimizer, name="loss_scale_optimizer")
    return optimizer


def get_optimizer(optimizer, learning_rate):
    """Return the optimizer, or the paper's Adam if it is `None`.

    Args:
        optimizer: A Keras optimizer, its name or config, or `None`.
        learning_rate: Float, Adam's learning rate.

    Returns:
        A Keras optimizer.
    """
    if optimizer is None:
        return keras.optimizers.Adam(learning_rate, epsilon=1e-8)
    return keras.optimizers.get(optimizer)
