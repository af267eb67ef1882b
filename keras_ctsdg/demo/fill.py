"""The fill that the demo offers, independent of Gradio."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.demo.images import check_upload, make_preview, to_displayable
from keras_ctsdg.inpainting import InpaintOptions
from keras_ctsdg.inpainting.holes import check_mask_size, read_mask
from keras_ctsdg.presets import from_preset


class FillResult(NamedTuple):
    """A filled image, and the number of pixels in its hole."""

    image: Image.Image
    hole_pixels: int


def fill(
    model,
    image,
    strokes=None,
    mask=None,
    strategy=InpaintOptions.strategy,
    memory_limit=InpaintOptions.memory_limit,
    max_megapixels=64,
):
    """Fill what is painted over in an image, and what is white in a mask.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        image: Path of an image, or `None` if there is none yet.
        strokes: Uint8 array `[H, W]` of the size of the image's `make_preview`, 255
            where it is painted over. Defaults to `None`.
        mask: Path of a mask of the image's size, white in the hole. Defaults to
            `None`.
        strategy, memory_limit: As `keras_ctsdg.inpainting.InpaintOptions` documents
            them.
        max_megapixels: Number, the largest image and mask that are read, in millions
            of pixels. Defaults to `64`.

    Returns:
        `FillResult`: the image at its own size and in its own mode, unchanged outside
        the hole, and the number of pixels in the hole.

    Raises:
        ValueError: If there is no image or no hole, or as `CTSDG.inpaint` raises it.
    """
    if not image:
        raise ValueError("There is no photo yet: drop one, or choose an example.")
    check_upload(image, "image", max_megapixels)
    original = ImageFiles([image], "image").load_original(0)
    levels = _enlarge(strokes, to_displayable(image))
    if mask:
        check_upload(mask, "mask", max_megapixels)
        mask_levels = read_mask(mask, "mask")
        check_mask_size(mask_levels.shape, levels.shape, "mask")
        levels = np.maximum(levels, mask_levels)
    hole = levels >= 128
    if not hole.any():
        raise ValueError(
            "There is no hole yet: paint over what should go, or add a mask with white "
            "in it."
        )
    filled = model.inpaint(
        original,
        hole.astype("uint8") * 255,
        strategy=strategy,
        memory_limit=memory_limit,
    )
    return FillResult(filled, int(hole.sum()))


def _enlarge(strokes, displayed):
    """Resize strokes from the preview's size to the image's, as uint8 `[H, W]`."""
    if strokes is None:
        return np.zeros((displayed.height, displayed.width), "uint8")
    check_mask_size(strokes.shape, make_preview(displayed).size[::-1], "strokes")
    strokes = Image.fromarray(strokes)
    return np.asarray(strokes.resize(displayed.size, Image.Resampling.BILINEAR))


class PresetCache:
    """Presets by name, of which the last used one stays loaded.

    Args:
        names: List of str, as `from_preset` takes them.

    Raises:
        ValueError: If there are no names, or the first preset cannot be loaded.
    """

    def __init__(self, names):
        if not names:
            raise ValueError(
                "`presets` must name at least one preset, a folder or a `.keras` "
                "file. Received: presets=[]"
            )
        self.names = list(dict.fromkeys(names))
        self._name = None
        self.get(self.names[0])

    def get(self, name):
        """Return the model of a preset, loading it if it was not the last one.

        Args:
            name: Str, one of `names`.

        Raises:
            ValueError: If `name` is none of them, or its preset cannot be loaded.
        """
        if name not in self.names:
            raise ValueError(f"`preset` must be one of {self.names}. Received: {name}")
        if name != self._name:
            self._model = from_preset(name, with_discriminator=False)
            self._name = name
        return self._model
