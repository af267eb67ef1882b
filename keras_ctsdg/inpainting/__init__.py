"""Fill the holes in images of any kind and size, in the images' own pixels."""

from keras_ctsdg.inpainting.fill import NoHoleWarning, inpaint
from keras_ctsdg.inpainting.options import InpaintOptions, Strategy

__all__ = ["InpaintOptions", "NoHoleWarning", "Strategy", "inpaint"]
