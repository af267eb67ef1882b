"""Fill the holes in images of any kind and size, in the images' own pixels."""

from keras_ctsdg.inpainting.files import save_image
from keras_ctsdg.inpainting.fill import NoHoleWarning, inpaint
from keras_ctsdg.inpainting.image16 import Image16
from keras_ctsdg.inpainting.options import FileOptions, Frames, InpaintOptions, Strategy

__all__ = [
    "FileOptions",
    "Frames",
    "Image16",
    "InpaintOptions",
    "NoHoleWarning",
    "Strategy",
    "inpaint",
    "save_image",
]
