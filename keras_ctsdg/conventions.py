"""Conventions that the whole package shares: inputs, choices and value ranges.

A mask is 1 in the hole and 0 elsewhere. Images hold values in [-1, 1] inside the
package; *levels* are the numbers of an image file, from 0 to 255 or 65535.
"""

from enum import StrEnum

from keras import ops

# === Inputs of the networks ===

CHANNELS = {"image": 3, "gray": 1, "edge": 1, "mask": 1}
RANGES = {"image": (-1, 1), "gray": (0, 1), "edge": (0, 1), "mask": (0, 1)}
# A batch may leave both out: the model then computes them from the image.
STRUCTURE_KEYS = ("gray", "edge")
# Number of blocks of an encoder, each of which halves height and width.
NUM_LEVELS = 7
SIZE_MULTIPLE = 2**NUM_LEVELS


class Edges(StrEnum):
    """Which gray and edge inputs a model's weights expect."""

    CLEAN = "clean"
    WRAPPED = "wrapped"


class Upsampling(StrEnum):
    """How bilinear upsampling aligns its samples."""

    HALF_PIXEL = "half_pixel"
    ALIGN_CORNERS = "align_corners"


# Luminance weights of ITU-R BT.709, as scikit-image has them, in ten-thousandths:
# sums of weighted levels are then whole numbers, which float32 holds exactly.
LUMINANCE_WEIGHTS = (2125, 7154, 721)
LUMINANCE_DENOMINATOR = 10_000

# Upper bounds of the mask ratios in the published tables.
MASK_RATIO_BINS = {"0_20": 0.2, "20_40": 0.4, "40_60": 0.6}

# === Value ranges: of tensors and of float arrays, whose dtype they keep ===


def levels_to_image(levels, top=255):
    """Convert levels in [0, `top`] to an image in [-1, 1]."""
    return levels / (top / 2) - 1.0


def image_to_levels(image, top=255):
    """Convert an image in [-1, 1] to levels in [0, `top`], not rounded."""
    return (image + 1.0) * (top / 2)


def image_to_unit(image):
    """Convert an image in [-1, 1] to [0, 1]."""
    return (image + 1.0) / 2


def composite(output, image, mask):
    """Return the image with its hole filled and everything else untouched.

    Args:
        output: Tensor `[B, H, W, 3]` in [-1, 1], the generator's output.
        image: Tensor `[B, H, W, 3]` in [-1, 1].
        mask: Tensor `[B, H, W, 1]` in [0, 1], where 1 marks the hole.

    Returns:
        Float32 tensor `[B, H, W, 3]` in [-1, 1].
    """
    output, image, mask = (ops.cast(x, "float32") for x in (output, image, mask))
    return image * (1.0 - mask) + output * mask
