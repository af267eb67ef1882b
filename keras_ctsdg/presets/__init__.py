"""Models by name: presets on disk and on the hubs."""

from keras_ctsdg.presets.files import write_preset
from keras_ctsdg.presets.loading import from_preset, list_presets

__all__ = ["from_preset", "list_presets", "write_preset"]
