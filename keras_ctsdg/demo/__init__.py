"""The page: drop a picture, paint over what shall go, see it filled."""

from keras_ctsdg.demo.server import serve

__all__ = ["serve"]
