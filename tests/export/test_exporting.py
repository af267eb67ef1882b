"""Files are written completely and correctly, or not at all."""

import numpy as np
import pytest

from keras_ctsdg.export import check, exporting

pytestmark = pytest.mark.backend_independent


class Graph:
    """Stands in for the graph: negatives in the hole, and one edge."""

    def __init__(self, model, image_dtype, name):
        pass

    def __call__(self, inputs):
        image, mask = inputs["image"], inputs["mask"]
        edge = np.zeros(mask.shape, "uint8")
        edge[:, 20] = 1
        top = 255 if image.dtype == "uint8" else 1
        return {"filled": np.where(mask > 0, top - image, image), "edge": edge}


@pytest.fixture
def runs(monkeypatch):
    """Replace the graph, the writer, the runtime and the check of the backend.

    Returns:
        Function that plants a fault in the results of the runtime.
    """

    def write(graph, plan, path, metadata):
        path.write_text(str(metadata))

    def plant(spoil):
        def run(image, mask):
            outputs = Graph(None, None, None)({"image": image, "mask": mask})
            return spoil(outputs, mask > 0)

        monkeypatch.setattr(check, "open_file", lambda path: run)

    monkeypatch.setattr(exporting, "FillImage", Graph)
    monkeypatch.setitem(exporting.WRITERS, "onnx", write)
    monkeypatch.setattr(exporting, "check_backend", lambda plan: None)
    monkeypatch.setattr(exporting, "has_runtime", lambda format: True)
    plant(lambda outputs, hole: outputs)
    return plant


def export(model, path, **options):
    model.export(path, size=(128, 128), **options)


def test_writes_and_checks(small_model, tmp_path, runs):
    path = tmp_path / "a.onnx"
    export(small_model, path, metadata={"license": "mit"})
    content = path.read_text()
    for part in ("'license': 'mit'", "'edges': 'clean'", "[batch, 128, 128, 3]"):
        assert part in content
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match="overwrite=False"):
        export(small_model, path, overwrite=False)


def spoil_fill(outputs, hole):
    outputs["filled"] = np.where(hole, np.float32(np.nan), outputs["filled"])
    return outputs


def spoil_slightly(outputs, hole):
    noise = np.random.default_rng(0).normal(0, 0.003, outputs["filled"].shape)
    outputs["filled"] += np.where(hole, noise, 0).astype("float32")
    return outputs


def spoil_image(outputs, hole):
    outputs["filled"][~np.broadcast_to(hole, outputs["filled"].shape)] += 1e-6
    return outputs


def spoil_edges(outputs, hole):
    outputs["edge"][0, 5, 5] ^= 1
    return outputs


def spoil_shape(outputs, hole):
    outputs["filled"] = outputs["filled"][:, 1:]
    return outputs


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_fill, "PSNR of nan dB"),
        (spoil_slightly, r"PSNR of 5\d"),
        (spoil_image, "other pixels outside"),
        (spoil_edges, "1 pixels of other edges"),
        (spoil_shape, r"float32 of \(1, 127"),
    ],
)
def test_a_file_that_fails_is_not_left_behind(
    small_model, tmp_path, runs, spoil, message
):
    runs(spoil)
    path = tmp_path / "a.onnx"
    with pytest.raises(ValueError, match=f"{message}"):
        export(small_model, path, image_dtype="float32")
    assert list(tmp_path.iterdir()) == []
    path.write_text("an earlier file")
    with pytest.raises(ValueError, match="it was removed. Received: format='onnx'"):
        export(small_model, path, image_dtype="float32")
    assert path.read_text() == "an earlier file"
    assert list(tmp_path.iterdir()) == [path]


def test_smaller_weights_may_differ_more(small_model, tmp_path, runs):
    for spoil in (spoil_slightly, spoil_edges):
        runs(spoil)
        export(small_model, tmp_path / "a.onnx", image_dtype="float32", dtype="float16")


def test_without_the_runtime_there_is_a_warning(
    small_model, tmp_path, runs, monkeypatch
):
    monkeypatch.setattr(exporting, "has_runtime", lambda format: False)
    runs(spoil_fill)
    with pytest.warns(UserWarning, match=r"onnxruntime.*keras-ctsdg\[onnx\]"):
        export(small_model, tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").exists()


def test_without_the_writer_the_error_names_it(
    small_model, tmp_path, runs, monkeypatch
):
    def write(graph, plan, path, metadata):
        raise ModuleNotFoundError("No module named 'onnxscript'", name="onnxscript")

    monkeypatch.setitem(exporting.WRITERS, "onnx", write)
    with pytest.raises(ImportError, match=r"onnxscript: pip install .*\[onnx\]"):
        export(small_model, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_fixed_size_is_exported_for_it(
    small_model, tmp_path, runs, monkeypatch
):
    monkeypatch.setattr(small_model.generator, "image_shape", (128, 256, 3))
    small_model.export(tmp_path / "a.onnx")
    assert "[batch, 128, 256, 3]" in (tmp_path / "a.onnx").read_text()
    with pytest.raises(ValueError, match="image_shape"):
        export(small_model, tmp_path / "b.onnx")


def test_weights_must_be_finite(small_model, tmp_path, runs):
    variable = small_model.generator.trainable_variables[0]
    variable.assign(np.full(variable.shape, np.nan))
    with pytest.raises(ValueError, match="finite to be exported"):
        export(small_model, tmp_path / "a.onnx")
