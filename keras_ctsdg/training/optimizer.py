import keras


class PairedOptimizer(keras.optimizers.MultiOptimizer):
    """One optimizer for Keras, the generator's and the discriminator's inside.

    Stock `fit`, saving and resuming then see a single optimizer.

    Args:
        generator: The `keras_ctsdg.models.Generator`.
        generator_optimizer: Keras optimizer of the generator's variables.
        discriminator_optimizer: Keras optimizer of all others.
    """

    def __init__(self, generator, generator_optimizer, discriminator_optimizer):
        # By identity: names may be given twice.
        generator_variables = {id(variable) for variable in generator.variables}

        def choose(variable):
            if id(variable) in generator_variables:
                return generator_optimizer
            return discriminator_optimizer

        super().__init__(choose, name="paired_optimizer")

    # Keras saves the two optimizers inside by themselves; `MultiOptimizer` would
    # write their slots, twice the size of the networks, once more.

    def save_own_variables(self, store):
        store["iterations"] = keras.ops.convert_to_numpy(self.iterations)

    def load_own_variables(self, store):
        self.iterations.assign(store["iterations"][()])


def serialize_optimizer(optimizer):
    """Serializes an optimizer so that every backend reads it.

    On PyTorch Keras 3.15 makes optimizers of classes of its own backend, and would
    write down those.

    Args:
        optimizer: A Keras optimizer.

    Returns:
        Dict, for `keras.saving.deserialize_keras_object`.
    """
    config = keras.saving.serialize_keras_object(optimizer)
    if config["module"].startswith("keras.src.backend."):
        config |= {"module": "keras.optimizers", "registered_name": None}
    return config


def get_optimizer(optimizer, learning_rate):
    """What `compile` was given, or the paper's Adam with that learning rate."""
    if optimizer is None:
        return keras.optimizers.Adam(learning_rate, epsilon=1e-8)
    return keras.optimizers.get(optimizer)
