"""Presets: models by name, folder, file or hub handle."""

from keras_ctsdg.presets.loading import DEFAULT_PRESET, from_preset, list_presets

__all__ = ["DEFAULT_PRESET", "from_preset", "list_presets"]
