"""Presets: models by name, folder, file or hub handle."""

from keras_ctsdg.presets.loading import DEFAULT_PRESET, from_preset, list_presets
from keras_ctsdg.presets.upload import upload_preset

__all__ = ["DEFAULT_PRESET", "from_preset", "list_presets", "upload_preset"]
