"""Networks that are frozen, as a whole or in part, and their configs."""


def freeze_layers(model):
    """Freeze the layers of a model that was created with `trainable=False`.

    Keras sets the flag before there are any layers.

    Args:
        model: A `keras.Model`, complete.
    """
    if not model.trainable:
        for layer in model.layers:
            layer.trainable = False


def frozen_layers_config(network):
    """Return the part of a network's config that names its frozen layers.

    Args:
        network: A functional `keras.Model`.

    Returns:
        Dict of `frozen_layers`, a list of names; empty without frozen layers, and for
        a network that is frozen as a whole.
    """
    names = [layer.name for layer in network.layers if not layer.trainable]
    return {"frozen_layers": names} if names and network.trainable else {}


def create_with_frozen_layers(cls, config):
    """Create a network from its config and freeze the layers that it names.

    Args:
        cls: The class of the network.
        config: Dict of its arguments and, optionally, `frozen_layers`.

    Returns:
        The network.
    """
    config = dict(config)
    names = config.pop("frozen_layers", ())
    network = cls(**config)
    for name in names:
        network.get_layer(name).trainable = False
    return network
