"""Web demo: drop a photo, paint over what should go, see it filled."""

from keras_ctsdg.demo.server import serve

__all__ = ["serve"]
