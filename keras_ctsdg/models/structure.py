"""Inputs of the structure stream, computed from images on the model's device."""

from keras import ops

from keras_ctsdg.conventions import (
    LUMINANCE_DENOMINATOR,
    LUMINANCE_WEIGHTS,
    Edges,
    image_to_levels,
)


def compute_gray(image, edges):
    """Compute the grayscale of an image as `keras_ctsdg.data.gray_and_edge` does.

    The results agree within two units of the last place of float32.

    Args:
        image: Float32 tensor `[B, H, W, 3]` in [-1, 1].
        edges: `"clean"`, or `"wrapped"` for the image as the original
            implementations wrap it into bytes.

    Returns:
        Float32 tensor `[B, H, W, 1]` in [0, 1].
    """
    if edges == Edges.CLEAN:
        levels = ops.round(image_to_levels(image))
    else:
        # Converted to integers first, because the byte that a negative float becomes
        # depends on the processor.
        levels = ops.cast(ops.mod(ops.cast(image * 255.0, "int32"), 256), "float32")
    total = sum(
        float(weight) * levels[..., i : i + 1]
        for i, weight in enumerate(LUMINANCE_WEIGHTS)
    )
    return total / float(255 * LUMINANCE_DENOMINATOR)


def compute_structure(image, edges, canny):
    """Compute the gray and edge inputs of complete images, as a data set does.

    Args:
        image: Float32 tensor `[B, H, W, 3]` in [-1, 1].
        edges: `"clean"` or `"wrapped"`.
        canny: A `keras_ctsdg.layers.CannyEdge`.

    Returns:
        Dict of float32 tensors `[B, H, W, 1]`: `gray` in [0, 1] and `edge`, 0 or 1.
        Gradients do not flow through them.
    """
    gray = compute_gray(ops.stop_gradient(image), edges)
    return {"gray": gray, "edge": ops.cast(canny(gray), "float32")}
