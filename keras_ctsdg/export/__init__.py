"""A model as one file that takes an image and a mask, in runtimes without Keras."""

from keras_ctsdg.export.exported_model import ExportedModel
from keras_ctsdg.export.exporting import export_model
from keras_ctsdg.export.formats import ExportDtype, Format, ImageDtype

__all__ = ["ExportDtype", "ExportedModel", "Format", "ImageDtype", "export_model"]
