"""The structure stream's inputs, drawn from pictures where a step runs."""

from keras import ops

from keras_ctsdg.conventions import (
    LUMINANCE_DENOMINATOR,
    LUMINANCE_WEIGHTS,
    Edges,
    image_to_levels,
)


def compute_gray(image, edges):
    """The gray picture, to the last bit but one that of `data.gray_and_edge`.

    Args:
        image: Float32 tensor `[B, H, W, 3]` in [-1, 1].
        edges: `"clean"`, or `"wrapped"` for the picture as the original
            implementations wrap it into bytes.

    Returns:
        Float32 tensor `[B, H, W, 1]` in [0, 1].
    """
    if edges == Edges.CLEAN:
        levels = ops.round(image_to_levels(image))
    else:
        # By way of whole numbers: what a negative float makes as a byte depends
        # on the processor.
        levels = ops.cast(ops.mod(ops.cast(image * 255.0, "int32"), 256), "float32")
    total = sum(
        float(weight) * levels[..., i : i + 1]
        for i, weight in enumerate(LUMINANCE_WEIGHTS)
    )
    return total / float(255 * LUMINANCE_DENOMINATOR)


def compute_structure(image, edges, canny):
    """Gray and edge of whole pictures, as a data set would bring them.

    Args:
        image: Float32 tensor `[B, H, W, 3]` in [-1, 1].
        edges: `"clean"` or `"wrapped"`.
        canny: `keras_ctsdg.layers.CannyEdge`.

    Returns:
        Dict of the float32 tensors `gray` and `edge`, `[B, H, W, 1]`, through which no
        gradient flows.
    """
    gray = compute_gray(ops.stop_gradient(image), edges)
    return {"gray": gray, "edge": ops.cast(canny(gray), "float32")}
