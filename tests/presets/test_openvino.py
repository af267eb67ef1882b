"""Presets that OpenVINO fills with: exported once, in half precision if it is safe."""

import importlib.util
import subprocess

import numpy as np
import pytest
from PIL import Image

import keras_ctsdg
from keras_ctsdg import _processes
from keras_ctsdg.export import check
from keras_ctsdg.inpainting.batch import InpaintBatch
from keras_ctsdg.presets import openvino
from keras_ctsdg.presets.openvino import load_for_filling
from tests.inpainting.common import PHOTO

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def exports(monkeypatch, tmp_path):
    """Replace OpenVINO and the export; return the arguments of each export."""
    started = []

    def run(command, env, **options):
        started.append((command[3:], env["KERAS_BACKEND"]))
        (tmp_path / "home" / "openvino" / "a.xml").touch()
        return subprocess.CompletedProcess(command, run.code, "", "Out of disk.\n")

    run.code = 0
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(_processes.subprocess, "run", run)
    monkeypatch.setattr(openvino.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(openvino, "choose_precision", lambda path: "fast")
    monkeypatch.setattr(openvino, "ExportedModel", lambda *arguments: arguments)
    return started, run


def test_exports_once(preset, exports, small_model, tmp_path):
    started, _ = exports
    path, precision = load_for_filling(preset, "openvino")
    assert precision == "fast" and path.parent == tmp_path / "home" / "openvino"
    ((arguments, backend),) = started
    assert backend == "tensorflow"
    assert arguments == ["export", str(preset), str(path), "--overwrite"]
    assert load_for_filling(preset, "auto") == (path, "fast") and len(started) == 1
    # Another preset, or another setting of the same weights, is exported anew.
    other = keras_ctsdg.CTSDG(small_model.generator, sigma=1.5)
    other.save_to_preset(tmp_path / "other")
    assert load_for_filling(tmp_path / "other", "openvino")[0] != path
    assert len(started) == 2


def test_a_failed_export_is_tried_again(preset, exports):
    started, run = exports
    run.code = 1
    for count in (1, 2):
        with pytest.raises(ValueError, match="Out of disk. Received: preset="):
            load_for_filling(preset, "openvino")
        assert len(started) == count


def test_without_openvino(preset, exports, monkeypatch):
    monkeypatch.setattr(openvino.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"keras-ctsdg\[openvino\].*'openvino'"):
        load_for_filling(preset, "openvino")
    for runtime in ("auto", "keras"):
        assert load_for_filling(preset, runtime).sigma == 2.0
    with pytest.raises(ValueError, match="Received: runtime='onnx'"):
        load_for_filling(preset, "onnx")


def add_noise(amount):
    def spoil(outputs):
        noise = np.random.default_rng(0).normal(0, amount, outputs["filled"].shape)
        outputs["filled"] = np.clip(outputs["filled"] + noise, 0, 255).astype("uint8")
        return outputs

    return spoil


def move_edge(outputs):
    outputs["edge"][0, 5, 5] ^= 1
    return outputs


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda outputs: outputs, "fast"),
        (add_noise(0.5), "fast"),
        (add_noise(3.0), "float32"),
        (move_edge, "float32"),
    ],
)
def test_precision_is_that_which_keeps_edges_and_fills(monkeypatch, spoil, expected):
    def open_file(path, precision="float32"):
        def run(image, mask):
            outputs = {"filled": image.copy(), "edge": np.zeros(mask.shape, "uint8")}
            return spoil(outputs) if precision == "fast" else outputs

        return run

    monkeypatch.setattr(check, "open_file", open_file)
    assert check.choose_precision(None) == expected


def test_option_of_the_command(command, monkeypatch, tmp_path):
    found = []
    monkeypatch.setattr(
        "keras_ctsdg.presets.openvino.from_preset", lambda *a, **k: found.append(a)
    )
    monkeypatch.setattr(InpaintBatch, "run", lambda *arguments: None)
    Image.fromarray(PHOTO[:32, :32]).save(tmp_path / "a.png")
    Image.new("L", (32, 32)).save(tmp_path / "mask.png")
    masks = "--masks", tmp_path / "mask.png"
    arguments = ("inpaint", "demo", tmp_path / "a.png", *masks)
    code, _, stderr = command(*arguments, "--runtime", "keras")
    assert found == [("demo",)], stderr
    code, _, stderr = command(*arguments, "--ray", "local", "--runtime", "auto")
    assert code == 1 and "--ray fills with Keras" in stderr


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="needs keras-ctsdg[openvino]"
)
def test_fills_as_keras_does(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(tmp_path))
    image, mask = check.sample_input(0, (256, 300), "uint8")
    exported = load_for_filling("demo", "openvino")
    found = exported.inpaint(image[0], mask[0])
    model = keras_ctsdg.from_preset("demo", with_discriminator=False)
    expected = model.inpaint(image[0], mask[0])
    hole = np.broadcast_to(mask[0] > 0, found.shape)
    np.testing.assert_array_equal(found[~hole], image[0][~hole])
    assert check._psnr(found, expected, hole, 255) > check.MIN_PSNR_FAST
    # The second time, nothing is exported.
    monkeypatch.setattr(openvino, "run_command_on", None)
    again = load_for_filling("demo", "auto").inpaint(image[0], mask[0])
    np.testing.assert_array_equal(again, found)
