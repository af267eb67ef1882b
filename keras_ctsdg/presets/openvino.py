"""Presets that fill images in OpenVINO, on the CPU."""

import hashlib
import importlib.util
from enum import StrEnum
from importlib.metadata import version

from keras_ctsdg._checks import check_choice
from keras_ctsdg._downloads import home_folder
from keras_ctsdg._processes import run_command_on
from keras_ctsdg.export.check import choose_precision
from keras_ctsdg.export.exported_model import ExportedModel, is_exported_file
from keras_ctsdg.presets.files import CONFIG, read_json
from keras_ctsdg.presets.loading import from_preset, locate
from keras_ctsdg.presets.source import describe_source


class FillRuntime(StrEnum):
    """What fills images: Keras, OpenVINO, or OpenVINO where it is installed."""

    KERAS = "keras"
    OPENVINO = "openvino"
    AUTO = "auto"


def load_for_filling(preset, runtime="keras"):
    """Load a preset that fills images, and need not train.

    OpenVINO fills on the CPU. At the first time the preset is exported, which takes
    minutes, to `openvino` in the package's home folder. On CPUs with bfloat16 the
    network computes in it, if the fills then are within 46 dB of float32; gray and
    edges stay those of Keras.

    Args:
        preset: As `keras_ctsdg.from_preset` takes it.
        runtime: `"keras"`, `"openvino"`, or `"auto"`, OpenVINO if it is installed.
            An exported file keeps its own. Defaults to `"keras"`.

    Returns:
        A `keras_ctsdg.CTSDG` or a `keras_ctsdg.export.ExportedModel`.

    Raises:
        ImportError: If OpenVINO is not installed.
        ValueError: As `keras_ctsdg.from_preset` raises it, or if the preset cannot be
            exported.
    """
    check_choice("runtime", runtime, FillRuntime)
    is_installed = importlib.util.find_spec("openvino") is not None
    if runtime == "auto":
        runtime = "openvino" if is_installed else "keras"
    if runtime == "keras" or is_exported_file(preset):
        return from_preset(preset, with_discriminator=False)
    if not is_installed:
        raise ImportError(
            'OpenVINO is not installed: pip install "keras-ctsdg[openvino]". '
            f"Received: runtime={str(runtime)!r}"
        )
    path = _export_once(preset)
    return ExportedModel(path, path.with_suffix(".precision").read_text())


def _export_once(preset):
    """Return the path of the preset's OpenVINO file, which is written if missing."""
    source = describe_source(preset)
    config = str(read_json(locate(preset), CONFIG)["config"])
    parts = source["preset_sha256"], config, version("keras-ctsdg")
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    path = home_folder() / "openvino" / f"{key}.xml"
    precision = path.with_suffix(".precision")
    # It is written last.
    if precision.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = ["export", str(preset), str(path), "--overwrite"]
    result = run_command_on("tensorflow", arguments)
    if result.returncode:
        raise ValueError(
            "The preset cannot be exported to OpenVINO: "
            f"{result.stderr.strip()[-500:]} Received: preset={preset}"
        )
    precision.write_text(choose_precision(path))
    return path
