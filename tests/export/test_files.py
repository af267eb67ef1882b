"""Every format that the README lists, in its own runtime."""

import importlib.util
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import keras_ctsdg
from keras_ctsdg.export import exporting, writers_torch
from keras_ctsdg.export.check import MIN_PSNR, sample_input
from keras_ctsdg.export.formats import FORMATS
from keras_ctsdg.export.graph import TOPS, FillImage
from keras_ctsdg.export.runtimes import open_file
from tests.common import to_numpy
from tests.processes import ROOT, finish, start_command

pytestmark = pytest.mark.slow

ROWS = [
    (format, dtype, edges, image_dtype)
    for format, spec in FORMATS.items()
    # Tests of the page have a file of their own.
    if spec.backend == keras.backend.backend() and format != "web"
    for dtype in spec.dtypes
    for edges, image_dtype in (("clean", "uint8"), ("wrapped", "float32"))
    # How weights are stored does not depend on the edges.
    if dtype == "float32" or edges == "clean"
]
FREE_SIZES = ((128, 256), (200, 150))


def is_installed(format):
    writers = {"onnx": "onnxscript", "openvino": "openvino"}
    names = {FORMATS[format].runtime, writers.get(format, "keras")}
    return all(importlib.util.find_spec(name) for name in names)


def make_model(edges, filters=8):
    """Return a model whose fills vary, unlike those of the paper's initial weights."""
    generator = keras_ctsdg.models.Generator(filters=filters)
    rng = np.random.default_rng(0)
    for variable in generator.trainable_variables:
        if len(variable.shape) == 4:
            scale = np.sqrt(2 / np.prod(variable.shape[:3]))
            variable.assign(rng.normal(0, scale, variable.shape))
        elif not variable.shape:
            variable.assign(0.5)
    return keras_ctsdg.CTSDG(generator, edges=edges)


def psnr_in_hole(found, expected, mask, top):
    hole = np.broadcast_to(mask > 0, found.shape)
    difference = found[hole].astype("float64") - expected[hole]
    return -10 * np.log10(max(np.mean(np.square(difference / top)), 1e-12))


@pytest.fixture(scope="module")
def translations():
    return {}


@pytest.fixture
def translate_once(translations, monkeypatch):
    """Let files that differ in their weights alone share the work of the exporter."""
    translate = writers_torch._translate

    def translate_once(graph, plan):
        key = graph.generator.filters, graph.edges, plan.image_dtype, plan.size
        if key not in translations:
            translations[key] = translate(graph, plan).SerializeToString()
        import onnx

        return onnx.load_from_string(translations[key])

    monkeypatch.setattr(writers_torch, "_translate", translate_once)


@pytest.mark.parametrize(("format", "dtype", "edges", "image_dtype"), ROWS)
def test_file(tmp_path, capsys, translate_once, format, dtype, edges, image_dtype):
    if not is_installed(format):
        pytest.skip(f"needs {FORMATS[format].package}")
    # Random weights magnify what rounding changes; those of the package are trained.
    model = keras_ctsdg.from_preset("demo", with_discriminator=False)
    model = make_model(edges) if dtype == "float32" else model
    path = tmp_path / f"model{FORMATS[format].ending}"
    model.export(path, format, dtype=dtype, image_dtype=image_dtype)
    runtime, graph = open_file(path), FillImage(model, image_dtype)
    free = FORMATS[format].is_size_free
    lowest = np.inf
    for size in FREE_SIZES if free else ((256, 256),):
        for count in (1, 3):
            samples = [sample_input(i % 2, size, image_dtype) for i in range(count)]
            image, mask = map(np.concatenate, zip(*samples, strict=True))
            found = runtime(image, mask)
            expected = to_numpy(graph({"image": image, "mask": mask}))
            hole = np.broadcast_to(mask > 0, image.shape)
            filled = found["filled"]
            np.testing.assert_array_equal(filled[~hole], image[~hole])
            # The weights' fills are neither constant nor the image.
            assert filled[hole].std() > 0.02 * TOPS[image_dtype]
            top = TOPS[image_dtype]
            psnr = psnr_in_hole(filled, expected["filled"], mask, top)
            assert psnr >= MIN_PSNR[dtype]
            lowest = min(lowest, psnr)
            moved = np.count_nonzero(found["edge"] != expected["edge"])
            assert expected["edge"].any() and (moved == 0 or dtype != "float32")
    metadata = runtime.metadata
    assert metadata["edges"] == edges and metadata["dtype"] == dtype
    assert metadata["height"] == ("any" if free else "256")
    assert f"image: {image_dtype} [batch, " in metadata["inputs"]
    files = path.rglob("*") if path.is_dir() else path.parent.glob("model.*")
    kilobytes = sum(x.stat().st_size for x in files if x.is_file()) / 1000
    with capsys.disabled():
        print(f"\n{format} {dtype} {edges}: {lowest:.1f} dB, {kilobytes:.0f} kB")
    # It fills images of other sizes as a model for any size does.
    image, mask = sample_input(1, (300, 400), "uint8")
    exported = keras_ctsdg.from_preset(path)
    found = exported.inpaint(image[0], mask[0])
    expected = model.inpaint(image[0], mask[0])
    hole = mask[0, ..., 0] > 0
    np.testing.assert_array_equal(found[~hole], image[0][~hole])
    if free:
        assert psnr_in_hole(found, expected, hole[..., None], 255) > 40


@pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="ONNX is written on PyTorch"
)
@pytest.mark.skipif(not is_installed("onnx"), reason="needs keras-ctsdg[onnx]")
def test_command_and_example(tmp_path):
    """The command starts a process on PyTorch, and the example needs no Keras."""
    make_model("clean").save_to_preset(tmp_path / "preset")
    path = tmp_path / "model.onnx"
    process = start_command(
        "export", tmp_path / "preset", path, "--size", 128, 256, KERAS_BACKEND="jax"
    )
    code, stdout, stderr = finish(process)
    assert code == 0, stderr
    assert "Checked by onnxruntime" in stdout
    image, mask = sample_input(0, (128, 256), "uint8")
    Image.fromarray(image[0]).save(tmp_path / "photo.png")
    Image.fromarray(mask[0, ..., 0] * 255).save(tmp_path / "mask.png")
    code = (
        "import runpy, sys\n"
        "for name in ('keras', 'tensorflow', 'torch', 'jax'):\n"
        "    sys.modules[name] = None\n"
        "runpy.run_path('examples/onnx_only.py', run_name='__main__')\n"
    )
    names = ("model.onnx", "photo.png", "mask.png", "filled.png")
    subprocess.run(
        [sys.executable, "-c", code, *(str(tmp_path / name) for name in names)],
        cwd=ROOT,
        check=True,
    )
    filled = np.asarray(Image.open(tmp_path / "filled.png"))
    expected = open_file(path)(image, mask)["filled"][0]
    np.testing.assert_array_equal(filled, expected)


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="No format is written on JAX"
)
def test_a_planted_nan_is_not_left_behind(tmp_path, monkeypatch):
    """The file's own graph gives NaN where the model does not."""
    format = "torch" if keras.backend.backend() == "torch" else "savedmodel"
    write = exporting.WRITERS[format]

    def write_spoiled(graph, plan, path, metadata):
        gamma = graph.generator.get_layer("gated_fusion").texture_gamma
        gamma.assign(np.nan)
        write(graph, plan, path, metadata)
        gamma.assign(0.5)

    monkeypatch.setitem(exporting.WRITERS, format, write_spoiled)
    path = tmp_path / f"model{FORMATS[format].ending}"
    with pytest.raises(ValueError, match="PSNR of .* dB in the hole"):
        make_model("clean").export(path, format, image_dtype="float32")
    assert list(tmp_path.iterdir()) == []
