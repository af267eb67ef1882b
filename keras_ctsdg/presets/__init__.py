"""Presets: models by name, folder, file or hub handle."""

from keras_ctsdg.presets.loading import from_preset, list_presets

__all__ = ["from_preset", "list_presets"]
