"""The graph of an exported file: everything from image and mask to the filled image."""

import keras
from keras import ops

from keras_ctsdg.conventions import (
    SIZE_MULTIPLE,
    composite,
    image_to_levels,
    levels_to_image,
)
from keras_ctsdg.export.torch_loops import while_loop
from keras_ctsdg.layers import CannyEdge
from keras_ctsdg.layers._hysteresis import grow_by_pooling
from keras_ctsdg.models.structure import compute_gray

# The highest value of an image, by the dtype of the file's inputs.
TOPS = {"uint8": 255, "float32": 1}


class PortableCannyEdge(CannyEdge):
    """`CannyEdge` from operations that all formats have."""

    def grow_edges(self, seeds, candidates):
        if keras.backend.backend() == "torch":
            return grow_by_pooling(seeds, candidates, while_loop)
        return grow_by_pooling(seeds, candidates)


class FillImage(keras.layers.Layer):
    """Fills the hole in images of any size, in their own range.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        image_dtype: `"uint8"`, levels from 0 to 255, or `"float32"`, in [0, 1].
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Dict of `image` `[B, H, W, 3]` and `mask` `[B, H, W, 1]`, both of
            `image_dtype`; the hole is where the mask is not 0.

    Returns:
        Dict of `filled` `[B, H, W, 3]`, of `image_dtype`, which equals the image
        outside the hole, and `edge` `[B, H, W, 1]`, uint8: the Canny edges that the
        network saw, 0 or 1.
    """

    def __init__(self, model, image_dtype="uint8", **kwargs):
        super().__init__(**{"autocast": False, "dtype": "float32", **kwargs})
        # Without the discriminator, whose weights would be exported, too.
        self.generator = model.generator
        self.edges = model.edges
        self.image_dtype = image_dtype
        self.canny = PortableCannyEdge(model.sigma, dtype="float32")
        self.canny.build((None, None, None, 1))
        self.built = True

    def call(self, inputs):
        image, mask = inputs["image"], ops.not_equal(inputs["mask"], 0)
        _, height, width, _ = ops.shape(image)
        hole = _pad(mask, height, width)
        x = levels_to_image(
            ops.cast(_pad(image, height, width), "float32"), TOPS[self.image_dtype]
        )
        x = ops.where(hole, 0.0, x)
        gray = compute_gray(x, self.edges)
        edge = self.canny((gray, hole))
        batch = {
            "image": x,
            "gray": gray,
            "edge": edge,
            "mask": ops.cast(hole, "float32"),
        }
        output = self.generator.call_for_image(batch)
        filled = composite(output, x, batch["mask"])[:, :height, :width]
        top = TOPS[self.image_dtype]
        filled = ops.clip(image_to_levels(filled, top), 0.0, float(top))
        if self.image_dtype == "uint8":
            filled = ops.round(filled)
        # Every pixel outside the hole is the image's own, bit for bit. LiteRT cannot
        # choose between bytes, which floats hold exactly.
        filled = ops.where(mask, filled, ops.cast(image, "float32"))
        return {
            "filled": ops.cast(filled, self.image_dtype),
            "edge": ops.cast(edge[:, :height, :width], "uint8"),
        }


def _pad(x, height, width):
    """Mirror `[B, H, W, C]` below and to the right up to the network's sizes."""
    return _mirror(_mirror(x, height, 1), width, 2)


def _mirror(x, length, axis):
    # TensorFlow's sizes are tensors where they are free.
    if not ops.is_tensor(length) and length % SIZE_MULTIPLE == 0:
        return x
    padded = (length + SIZE_MULTIPLE - 1) // SIZE_MULTIPLE * SIZE_MULTIPLE
    # The index goes back and forth, as often as a short side needs it.
    period = ops.maximum(2 * length - 2, 1)
    index = ops.arange(padded, dtype="int32") % period
    return ops.take(x, ops.minimum(index, period - index), axis=axis)
