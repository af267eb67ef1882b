"""A folder of files that fills photos in a browser alone."""

from keras_ctsdg.export.web.folder import read_asset, write_page

__all__ = ["read_asset", "write_page"]
