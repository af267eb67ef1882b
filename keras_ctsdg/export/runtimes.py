"""The runtimes of exported files: each loads a file and fills images with it."""

import importlib.util
import json
import sys
import zipfile
from pathlib import Path

import numpy as np

from keras_ctsdg.export.formats import FORMATS, PAGE_MODEL, format_of_path

METADATA_KEY = "keras_ctsdg"
# TensorFlow keeps this folder of a SavedModel for files of others.
METADATA_FILE = Path("assets.extra", f"{METADATA_KEY}.json")


def has_runtime(format):
    """Return whether the package that runs a format's files is installed."""
    return importlib.util.find_spec(FORMATS[format].runtime) is not None


def open_file(path, precision="float32"):
    """Load an exported file in its own runtime.

    Args:
        path: Path of a file or a SavedModel folder.
        precision: `"float32"` or `"fast"`, as `ExportedModel` has it.

    Returns:
        `Runtime`.

    Raises:
        ImportError: If the runtime is not installed.
        ValueError: If the file cannot be loaded, or was not written by `export`.
    """
    path = Path(path)
    format = str(format_of_path(path))
    if not has_runtime(format):
        raise ImportError(
            f"This file needs {FORMATS[format].runtime}: "
            f'pip install "{FORMATS[format].package}". Received: {path}'
        )
    try:
        runtime = RUNTIMES[format](path, precision)
        missing = {"image_dtype", "height", "width", "filters", "sigma"} - set(
            runtime.metadata
        )
    # Each runtime has errors of its own for files that it cannot read.
    except Exception as error:
        raise ValueError(
            f"The file cannot be loaded by {FORMATS[format].runtime}: {error}. "
            f"Received: {path}"
        ) from error
    if missing:
        raise ValueError(
            "An exported file must have been written by `keras_ctsdg.CTSDG.export`. "
            f"Received: {path}, whose metadata lack {sorted(missing)}"
        )
    return runtime


def import_openvino():
    """Import OpenVINO without its telemetry, which reports each import."""
    # A module that is `None` cannot be imported, and a stub takes its place.
    previous = sys.modules.get("openvino_telemetry")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        del sys.modules["openvino_telemetry"]
        if previous is not None:
            sys.modules["openvino_telemetry"] = previous
    return openvino


class Runtime:
    """A loaded file.

    Args:
        path: `pathlib.Path`.
        precision: As `ExportedModel` has it.

    Attributes:
        metadata: Dict of str to str.
    """

    metadata: dict

    def __init__(self, path, precision):
        self.precision = precision
        self.load(path)

    def load(self, path):
        """Load the file and its metadata."""
        raise NotImplementedError

    def __call__(self, image, mask):
        """Fill images.

        Args:
            image: Array `[B, H, W, 3]`, as the metadata say.
            mask: Array `[B, H, W, 1]` of the same dtype; not 0 in the hole.

        Returns:
            Dict of arrays: `filled` `[B, H, W, 3]` and `edge` `[B, H, W, 1]`.
        """
        raise NotImplementedError


class SavedModelRuntime(Runtime):
    """TensorFlow."""

    def load(self, path):
        import tensorflow as tf

        self.metadata = json.loads((path / METADATA_FILE).read_text())
        # Its variables are released with the object that loaded them.
        self.loaded = tf.saved_model.load(str(path))
        self.function = self.loaded.signatures["serving_default"]

    def __call__(self, image, mask):
        import tensorflow as tf

        outputs = self.function(image=tf.constant(image), mask=tf.constant(mask))
        return {name: value.numpy() for name, value in outputs.items()}


class OpenVINORuntime(Runtime):
    """OpenVINO, in float32 unless its own choice, half precision, is allowed."""

    OPTIONS = {"INFERENCE_PRECISION_HINT": "f32"}

    def load(self, path):
        core = import_openvino().Core()
        model = core.read_model(path)
        info = model.get_rt_info([METADATA_KEY]).astype(dict)
        self.metadata = {key: str(value.value) for key, value in info.items()}
        options = self.OPTIONS if self.precision == "float32" else {}
        self.compiled = core.compile_model(model, "CPU", options)

    def __call__(self, image, mask):
        outputs = self.compiled({"image": image, "mask": mask})
        return {key.get_any_name(): value for key, value in outputs.items()}


class OnnxRuntime(Runtime):
    """onnxruntime."""

    def load(self, path):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(
            path, providers=["CPUExecutionProvider"]
        )
        self.metadata = dict(self.session.get_modelmeta().custom_metadata_map)

    def __call__(self, image, mask):
        names = [x.name for x in self.session.get_outputs()]
        outputs = self.session.run(names, {"image": image, "mask": mask})
        return dict(zip(names, outputs, strict=True))


class WebRuntime(OnnxRuntime):
    """onnxruntime, for the model of a page."""

    def load(self, path):
        super().load(path / PAGE_MODEL)


class LiteRTRuntime(Runtime):
    """LiteRT."""

    def load(self, path):
        from ai_edge_litert.interpreter import Interpreter

        with zipfile.ZipFile(path) as archive:
            self.metadata = json.loads(archive.read(f"{METADATA_KEY}.json"))
        self.runner = Interpreter(model_path=str(path)).get_signature_runner()

    def __call__(self, image, mask):
        return self.runner(image=image, mask=mask)


class TorchRuntime(Runtime):
    """PyTorch."""

    def load(self, path):
        import torch

        files = {f"{METADATA_KEY}.json": ""}
        self.module = torch.export.load(path, extra_files=files).module()
        self.metadata = json.loads(files[f"{METADATA_KEY}.json"])

    def __call__(self, image, mask):
        import torch

        tensors = [torch.from_numpy(np.ascontiguousarray(x)) for x in (image, mask)]
        with torch.no_grad():
            filled, edge = self.module(*tensors)
        return {"filled": filled.cpu().numpy(), "edge": edge.cpu().numpy()}


RUNTIMES = {
    "savedmodel": SavedModelRuntime,
    "openvino": OpenVINORuntime,
    "onnx": OnnxRuntime,
    "litert": LiteRTRuntime,
    "torch": TorchRuntime,
    "web": WebRuntime,
}
