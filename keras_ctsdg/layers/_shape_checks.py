"""Shape checks that several layers share."""


def is_tuple_of_shapes(shapes):
    """Return whether a layer that is being built received several shapes, not one."""
    return isinstance(shapes, (tuple, list)) and all(
        isinstance(shape, (tuple, list)) for shape in shapes
    )


def check_feature_maps(layer, shapes, names):
    """Check that a layer receives one `[B, H, W, C]` shape per name, C known.

    Args:
        layer: The `keras.layers.Layer` that is being built, for the message.
        shapes: The input shape that `build` received.
        names: Tuple of str, the names of the feature maps.

    Raises:
        ValueError: If `shapes` is not one `[B, H, W, C]` shape per name.
    """
    if not is_tuple_of_shapes(shapes) or len(shapes) != len(names):
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
    """Check feature maps as `check_feature_maps` does, and that their shapes agree.

    Args:
        layer: The `keras.layers.Layer` that is being built, for the message.
        shapes: The input shape that `build` received.
        names: Tuple of str, the names of the feature maps.

    Raises:
        ValueError: If `shapes` is not one `[B, H, W, C]` shape per name, or if the
            shapes differ in a size that is known.
    """
    check_feature_maps(layer, shapes, names)
    for sizes in zip(*shapes, strict=True):
        if len({size for size in sizes if size is not None}) > 1:
            received = ", ".join(
                f"{name}.shape={tuple(shape)}"
                for name, shape in zip(names, shapes, strict=True)
            )
            raise ValueError(
                f"`{type(layer).__name__}` expects {' and '.join(names)} of the same "
                f"shape. Received: {received}"
            )
