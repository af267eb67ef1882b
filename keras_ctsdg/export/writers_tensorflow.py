"""Files that the TensorFlow backend writes: SavedModel, OpenVINO and LiteRT."""

import json
import tempfile
import zipfile
from pathlib import Path

import keras

from keras_ctsdg.export.openvino_precision import keep_precise
from keras_ctsdg.export.runtimes import METADATA_FILE, METADATA_KEY, import_openvino


def write_savedmodel(graph, plan, path, metadata):
    """Write a folder for TensorFlow and TensorFlow Serving.

    Args:
        graph: `FillImage`.
        plan: `ExportPlan`.
        path: `pathlib.Path` to write to.
        metadata: Dict of str to str.
    """
    _write_archive(graph, plan, path)
    folder = path / METADATA_FILE
    folder.parent.mkdir(exist_ok=True)
    folder.write_text(json.dumps(metadata, indent=2) + "\n")


def write_openvino(graph, plan, path, metadata):
    """Write an XML file and its weights, as `write_savedmodel` documents it."""
    openvino = import_openvino()
    with tempfile.TemporaryDirectory() as folder:
        _write_archive(graph, plan, Path(folder))
        model = openvino.Core().read_model(folder)
        for key, value in metadata.items():
            model.set_rt_info(value, [METADATA_KEY, key])
        openvino.save_model(model, path, compress_to_fp16=plan.dtype == "float16")
    # Rounded, the same photo has other edges.
    keep_precise(path, "edge")


def write_litert(graph, plan, path, metadata):
    """Write a file of built-in operators, as `write_savedmodel` documents it."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        _write_archive(graph, plan, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if plan.dtype == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        path.write_bytes(converter.convert())
    # The convention of LiteRT's metadata: a zip after the end of the model.
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(METADATA_KEY + ".json", json.dumps(metadata, indent=2))


def _write_archive(graph, plan, path):
    import tensorflow as tf

    height, width = plan.size or (None, None)
    inputs = {
        name: tf.TensorSpec((None, height, width, channels), plan.image_dtype, name)
        for name, channels in (("image", 3), ("mask", 1))
    }
    archive = keras.export.ExportArchive()
    archive.track(graph)
    archive.add_endpoint("serve", lambda inputs: graph(inputs), [inputs])
    archive.write_out(str(path), verbose=False)
