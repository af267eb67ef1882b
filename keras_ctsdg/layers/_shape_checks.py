"""Shape checks that several layers share."""


def check_feature_maps(layer, shapes, names):
    """Checks that a layer was given one rank-4 shape with known channels a name.

    Args:
        layer: The `keras.layers.Layer` that is being built, for the message.
        shapes: What `build` received.
        names: Tuple of str, what each of the feature maps is called.

    Raises:
        ValueError: If `shapes` is not that many `[B, H, W, C]` shapes.
    """
    nested = isinstance(shapes, (tuple, list)) and all(
        isinstance(shape, (tuple, list)) for shape in shapes
    )
    if not nested or len(shapes) != len(names):
        raise ValueError(
            f"`{type(layer).__name__}` must be called on a tuple "
            f"({', '.join(names)}) of tensors. Received: input shape {shapes}"
        )
    for name, shape in zip(names, shapes, strict=True):
        if len(shape) != 4 or shape[-1] is None:
            raise ValueError(
                f"`{type(layer).__name__}` expects `{name}` of shape [B, H, W, C] "
                f"with a known number of channels. Received: {name}.shape={shape}"
            )


def check_same_shape(layer, shapes, names):
    """Checks two feature maps as `check_feature_maps`, and that they agree.

    Args:
        layer: The `keras.layers.Layer` that is being built, for the message.
        shapes: What `build` received.
        names: Tuple of str, what each of the feature maps is called.

    Raises:
        ValueError: If the shapes differ where both are known.
    """
    check_feature_maps(layer, shapes, names)
    for sizes in zip(*shapes, strict=True):
        if len({size for size in sizes if size is not None}) > 1:
            received = ", ".join(
                f"{name}.shape={tuple(shape)}"
                for name, shape in zip(names, shapes, strict=True)
            )
            raise ValueError(
                f"`{type(layer).__name__}` expects {' and '.join(names)} of one "
                f"shape. Received: {received}"
            )
