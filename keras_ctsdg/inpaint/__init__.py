"""Holes in pictures of any kind and size, filled in the pictures' own pixels."""

from keras_ctsdg.inpaint.fill import inpaint

__all__ = ["inpaint"]
