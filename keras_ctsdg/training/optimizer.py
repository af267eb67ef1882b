import keras
from keras import ops

from keras_ctsdg import _keras_private
from keras_ctsdg.training.loss_scale import ScaledOptimizer, are_all_true


class PairedOptimizer(keras.optimizers.MultiOptimizer):
    """The generator's and the discriminator's optimizer as a single one.

    Keras' own `fit`, saving and resuming then work with one optimizer. It also counts
    the steps that had to be left out: `bad_steps`, which a training sets to 0 where an
    epoch begins, and `bad_steps_in_row`.

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
        self._is_generators = lambda variable: id(variable) in generator_variables

    def build(self, variables):
        # In a function, because Keras would track them as the optimizer's own.
        self._list_trained = lambda: variables
        self.are_generators = tuple(map(self._is_generators, variables))
        self.bad_steps, self.bad_steps_in_row = (
            self.add_variable(
                (), dtype="int", aggregation="only_first_replica", name=name
            )
            for name in ("bad_steps", "bad_steps_in_row")
        )
        super().build(variables)

    def scale_loss(self, loss, network):
        """Return the loss of a network as its gradients are taken: as it is."""
        return loss

    def review(self, are_losses_finite, are_gradients_finite):
        """Decide whether a step is applied, and count it if it is bad.

        Args:
            are_losses_finite: Scalar bool tensor.
            are_gradients_finite: Tuple of two, the generator's and the discriminator's.

        Returns:
            Scalar bool tensor.
        """
        is_good = are_all_true(are_losses_finite, *are_gradients_finite)
        self.count(is_good, ops.logical_not(is_good))
        return is_good

    def count(self, is_good, is_bad):
        """Count a step that is good, bad, or neither; scalar bool tensors."""
        added = ops.cast(is_bad, self.bad_steps.dtype)
        self.bad_steps.assign(self.bad_steps + added)
        in_row = self.bad_steps_in_row + added
        self.bad_steps_in_row.assign(ops.where(is_good, ops.zeros_like(in_row), in_row))

    def finalize_variable_values(self, var_list):
        # The list that Keras passes has layers that were thawed since, which the
        # optimizers do not know.
        super().finalize_variable_values(self._list_trained())

    # Keras saves the two inner optimizers on their own. `MultiOptimizer` would save
    # their slots, which are twice as large as the networks, a second time.

    def save_own_variables(self, store):
        for name in ("iterations", "bad_steps", "bad_steps_in_row"):
            store[name] = ops.convert_to_numpy(getattr(self, name))

    def load_own_variables(self, store):
        self.iterations.assign(store["iterations"][()])
        # Earlier versions saved the iterations alone.
        for name in ("bad_steps", "bad_steps_in_row"):
            getattr(self, name).assign(store[name][()] if name in store.keys() else 0)


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
