"""`keras-ctsdg export`: options, errors, and the process on another backend."""

import subprocess
import sys

import keras
import pytest

from keras_ctsdg import _processes
from keras_ctsdg.export import exporting
from tests.cli.common import read_box

pytestmark = pytest.mark.backend_independent


def test_writes_with_the_presets_hash(command, preset, tmp_path, monkeypatch):
    import hashlib

    written = {}

    def write(graph, plan, path, metadata):
        path.write_bytes(bytes(1000))
        written.update(metadata)

    monkeypatch.setitem(exporting.WRITERS, "onnx", write)
    monkeypatch.setattr(exporting, "has_runtime", lambda format: False)
    monkeypatch.setattr(exporting, "check_backend", lambda plan: None)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    out = tmp_path / "a.onnx"
    code, stdout, stderr = command("export", preset, out, "--size", 128, 256)
    assert code == 0, stderr
    assert "onnx, weights in float32, images in uint8 of 128 x 256" in stdout
    assert "Not checked" in stdout and "onnxruntime" in stderr
    weights = (preset / "model.weights.h5").read_bytes()
    assert written["preset_sha256"] == hashlib.sha256(weights).hexdigest()
    assert written["license"] == "unknown" and len(written["weights_sha256"]) == 64
    code, _, stderr = command("export", preset, out)
    assert code == 1 and "overwrite=False" in stderr
    assert command("export", preset, out, "--overwrite")[0] == 0


def test_another_backend_runs_in_a_process(command, tmp_path, monkeypatch):
    started = []

    def run(arguments, env, **options):
        assert not options["capture_output"]
        started.append((arguments, env["KERAS_BACKEND"]))
        return subprocess.CompletedProcess(arguments, 3)

    monkeypatch.setattr(_processes.subprocess, "run", run)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for name, backend, *options in (
        ("a", "tensorflow"),
        ("a.pt2", "torch"),
        ("a", "torch", "--format", "web", "--npm-package", "b"),
    ):
        assert command("export", "preset", tmp_path / name, *options)[0] == 3
        arguments, found = started.pop()
        assert found == backend and arguments[0] == sys.executable
        given = ["export", "preset", str(tmp_path / name), *options]
        assert arguments[-len(given) :] == given


def test_errors_come_before_any_work(command, tmp_path):
    for arguments, message in (
        (("a.onnx", "--size", 100, 100), "multiples of 128"),
        (("a", "--dtype", "int8"), 'formats "onnx", "litert"'),
        (("a", "--format", "web", "--image-dtype", "float32"), "as browsers decode"),
        (("a.keras",), "ending of `filepath`"),
    ):
        code, _, stderr = command("export", "preset", *arguments)
        assert code == 1 and message in stderr
    code, _, stderr = command("export", "preset", "a.onnx", "--format", "tensorrt")
    assert code == 2 and "'savedmodel'" in read_box(stderr)
