"""The structure stream's inputs, drawn from pictures where a step runs."""

from keras import ops

EDGES = ("clean", "wrapped")
# ITU-R BT.709 as scikit-image has it, in ten thousandths: the sums are whole numbers
# that float32 holds exactly.
LUMINANCE = (2125, 7154, 721)


def gray_of(image, edges):
    """The gray picture, to the last bit but one that of `data.gray_and_edge`.

    Args:
        image: Float32 tensor `[B, H, W, 3]` in [-1, 1].
        edges: `"clean"`, or `"wrapped"` for the picture as the original
            implementations wrap it into bytes.

    Returns:
        Float32 tensor `[B, H, W, 1]` in [0, 1].
    """
    if edges == "clean":
        levels = ops.round((image + 1.0) * 127.5)
    else:
        # By way of whole numbers: what a negative float makes as a byte depends
        # on the processor.
        levels = ops.cast(ops.mod(ops.cast(image * 255.0, "int32"), 256), "float32")
    total = sum(
        float(weight) * levels[..., i : i + 1] for i, weight in enumerate(LUMINANCE)
    )
    return total / float(255 * sum(LUMINANCE))


def draw_structure(image, edges, canny):
    """Gray and edge of whole pictures, as a data set would bring them.

    Args:
        image: Float32 tensor `[B, H, W, 3]` in [-1, 1].
        edges: `"clean"` or `"wrapped"`.
        canny: `keras_ctsdg.layers.CannyEdge`.

    Returns:
        Dict of the float32 tensors `gray` and `edge`, `[B, H, W, 1]`, through which no
        gradient flows.
    """
    gray = gray_of(ops.stop_gradient(image), edges)
    return {"gray": gray, "edge": ops.cast(canny(gray), "float32")}
