"""`examples/serve`: the signature, the configuration and the client."""

import json
import runpy
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.export.check import sample_input
from keras_ctsdg.export.runtimes import OpenVINORuntime, open_file
from tests.processes import ROOT

FOLDER = Path(ROOT, "examples", "serve")
# The table in README.md: name, channels.
INPUTS, OUTPUTS = {"image": 3, "mask": 1}, {"filled": 3, "edge": 1}


@contextmanager
def serve(model):
    """Answer requests as TensorFlow Serving documents it; yield the model's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            assert self.path == "/v1/models/ctsdg:predict"
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            arrays = {k: np.array(v, "uint8") for k, v in body["inputs"].items()}
            outputs = {k: v.tolist() for k, v in model(**arrays).items()}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"outputs": outputs}).encode())

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/models/ctsdg"
        server.shutdown()


def run_client(model, tmp_path, image, mask):
    Image.fromarray(image[0]).save(tmp_path / "photo.png")
    Image.fromarray(mask[0, ..., 0] * 255).save(tmp_path / "mask.png")
    paths = (str(tmp_path / x) for x in ("photo.png", "mask.png", "filled.png"))
    main = runpy.run_path(str(FOLDER / "client.py"))["main"]
    with serve(model) as address:
        main(address, *paths)
    return np.asarray(Image.open(tmp_path / "filled.png"))


@pytest.mark.backend_independent
def test_client(tmp_path):
    image, mask = sample_input(0, (30, 40), "uint8")

    def model(**inputs):
        for name, channels in INPUTS.items():
            assert inputs[name].shape == (1, 30, 40, channels)
        assert set(np.unique(inputs["mask"])) == {0, 1}
        filled = np.where(inputs["mask"] > 0, 255 - inputs["image"], inputs["image"])
        return {"filled": filled, "edge": inputs["mask"]}

    filled = run_client(model, tmp_path, image, mask)
    np.testing.assert_array_equal(filled, model(image=image, mask=mask)["filled"][0])


@pytest.mark.backend_independent
def test_configuration():
    config = json.loads((FOLDER / "config.json").read_text())
    (entry,) = config["model_config_list"]
    assert entry["config"]["plugin_config"] == OpenVINORuntime.OPTIONS
    readme = (FOLDER / "README.md").read_text()
    assert "models/ctsdg/1/model.xml" in readme and "models/ctsdg/1\n" in readme
    assert entry["config"]["base_path"] == "/models/ctsdg"
    for name, channels in (INPUTS | OUTPUTS).items():
        assert f"`{name}` | uint8 | [B, H, W, {channels}]" in readme


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's"
)
def test_signature(small_model, tmp_path):
    import tensorflow as tf

    path = tmp_path / "ctsdg" / "1"
    path.parent.mkdir()
    small_model.export(path)
    signatures = tf.saved_model.load(str(path)).signatures
    assert list(signatures) == ["serving_default"]
    function = signatures["serving_default"]
    _, inputs = function.structured_input_signature
    for found, expected in (
        (inputs, INPUTS),
        (function.structured_outputs, OUTPUTS),
    ):
        assert set(found) == set(expected)
        for name, channels in expected.items():
            assert found[name].dtype == tf.uint8
            assert found[name].shape.as_list() == [None, None, None, channels]
    image, mask = sample_input(1, (70, 90), "uint8")
    runtime = open_file(path)
    filled = run_client(runtime, tmp_path, image, mask)
    np.testing.assert_array_equal(filled, runtime(image, mask)["filled"][0])
