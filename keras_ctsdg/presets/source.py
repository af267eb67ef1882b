"""Where a preset's weights come from, for files that are made of them."""

import hashlib

from keras_ctsdg.presets.files import METADATA, RECORD, WEIGHTS, read_json
from keras_ctsdg.presets.loading import PUBLISHED, locate


def describe_source(preset):
    """Return what an exported file says about its preset.

    Args:
        preset: Str or path, as `keras_ctsdg.from_preset` takes it.

    Returns:
        Dict of str: `preset`, the `preset_sha256` of its weights file and, if it is
        known, the `license`.

    Raises:
        ValueError: If there is no such preset.
    """
    path = locate(preset)
    file = path / WEIGHTS if path.is_dir() else path
    with open(file, "rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    source = {"preset": str(preset), "preset_sha256": digest}
    record = read_json(path, METADATA).get(RECORD, {})
    license_name = record.get("license") or PUBLISHED.get(preset, {}).get("license")
    return source | ({"license": license_name} if license_name else {})
