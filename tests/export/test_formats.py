"""Which options of an export work together, and what errors advise."""

import keras
import pytest

from keras_ctsdg.export.formats import FORMATS, check_backend, plan_export

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("model", "savedmodel"),
        ("model.xml", "openvino"),
        ("model.ONNX", "onnx"),
        ("model.tflite", "litert"),
        ("model.pt2", "torch"),
    ],
)
def test_format_by_ending(tmp_path, name, format):
    for given in (None, format):
        plan = plan_export(tmp_path / name, given)
        assert (plan.format, plan.dtype, plan.image_dtype) == (
            format,
            "float32",
            "uint8",
        )
        # Where sizes are not free, the paper's is the default.
        free = format in ("savedmodel", "openvino")
        assert plan.size == (None if free else (256, 256))
    assert plan_export(tmp_path / name, size=[128, 384]).size == (128, 384)


def test_kerass_name_of_the_format(tmp_path):
    assert plan_export(tmp_path / "a", "tf_saved_model").format == "savedmodel"


def test_folders_with_a_dot(tmp_path):
    assert plan_export(tmp_path / "1.0", "savedmodel").format == "savedmodel"
    (tmp_path / "2.0").mkdir()
    assert plan_export(tmp_path / "2.0").format == "savedmodel"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.onnx", {"format": "savedmodel"}, "savedmodel: a folder"),
        ("a.onnx", {"format": "litert"}, r"litert: \.tflite.*format='litert'"),
        ("a.h5", {}, r"onnx: \.onnx.*Received: filepath=.*a\.h5, format=None"),
        ("a", {"format": "onnx"}, "ending of `filepath`"),
        ("a.onnx", {"format": "tensorrt"}, 'one of "savedmodel", "openvino"'),
        ("a", {"dtype": "int8"}, r'int8"` is available for the formats "onnx", "lit'),
        (
            "a.tflite",
            {"dtype": "float16"},
            '"openvino", "onnx", "web"; "litert" has float32, ',
        ),
        ("a.onnx", {"dtype": "int4"}, "Received: dtype='int4'"),
        ("a.onnx", {"image_dtype": "uint16"}, "Received: image_dtype='uint16'"),
        ("a.onnx", {"size": (200, 256)}, r"multiples of 128. Received: size=\(200"),
        ("a.onnx", {"size": 256}, r"\(height, width\). Received: size=256"),
        ("a.onnx", {"size": (0, 128)}, "positive integer. Received: size=0"),
        ("no/such/a.onnx/b.onnx", {}, "must be a folder"),
    ],
)
def test_pairs_that_cannot_work(tmp_path, name, options, message):
    (tmp_path / "no" / "such").mkdir(parents=True)
    (tmp_path / "no" / "such" / "a.onnx").touch()
    with pytest.raises(ValueError, match=message):
        plan_export(tmp_path / name, **options)


def test_what_exists(tmp_path):
    file, folder, other = tmp_path / "a.onnx", tmp_path / "saved", tmp_path / "other"
    for path in (folder, other):
        path.mkdir()
    file.touch()
    plan_export(folder, overwrite=False)
    (folder / "saved_model.pb").touch()
    (other / "photo.jpg").touch()
    for path in (file, folder):
        plan_export(path)
        with pytest.raises(ValueError, match="overwrite=False"):
            plan_export(path, overwrite=False)
    with pytest.raises(ValueError, match="must not exist"):
        plan_export(other)
    (tmp_path / "b.onnx").mkdir()
    with pytest.raises(ValueError, match="must be a file"):
        plan_export(tmp_path / "b.onnx")
    with pytest.raises(ValueError, match="must be a path"):
        plan_export(None)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_each_format_names_its_backend(tmp_path, monkeypatch, backend):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    for format, spec in FORMATS.items():
        plan = plan_export(tmp_path / f"a{spec.ending}", format)
        if spec.backend == backend:
            check_backend(plan)
            continue
        with pytest.raises(ValueError, match=f"KERAS_BACKEND={spec.backend}") as error:
            check_backend(plan)
        assert "keras-ctsdg export" in str(error.value)
        for other, other_spec in FORMATS.items():
            if other != format:
                named = f'"{other}"' in str(error.value)
                assert named == (other_spec.backend == backend)
