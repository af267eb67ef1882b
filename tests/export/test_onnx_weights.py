"""Smaller weights of ONNX files, in a graph of one convolution."""

import numpy as np
import pytest

from keras_ctsdg.export.onnx_weights import compress_weights
from keras_ctsdg.export.writers_torch import _strip

pytestmark = pytest.mark.backend_independent

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def make_model(kernel, bias):
    helper = onnx.helper
    shapes = {"x": ["n", 8, 16, 16], "y": ["n", 16, 14, 14]}
    x, y = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    node = helper.make_node("Conv", ["x", "kernel", "bias"], ["y"])
    node.metadata_props.add(key="stack_trace", value="/home/someone/secret.py")
    tensors = {"kernel": kernel, "bias": bias}
    graph = helper.make_graph(
        [node],
        "graph",
        [x],
        [y],
        [onnx.numpy_helper.from_array(v, k) for k, v in tensors.items()],
    )
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10)


def run(model, x):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(["y"], {"x": x})[0]


@pytest.mark.parametrize(
    ("dtype", "bytes_each", "error"), [("float16", 2, 1e-3), ("int8", 1, 2e-2)]
)
def test_kernels_are_smaller_and_biases_are_not(dtype, bytes_each, error):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(16, 8, 3, 3)).astype("float32")
    # Each filter has its own scale, and one is empty.
    kernel *= np.logspace(-3, 3, 16, dtype="float32")[:, None, None, None]
    kernel[5] = 0
    bias = np.full(16, 1e-9, "float32")
    x = rng.normal(size=(2, 8, 16, 16)).astype("float32")
    model = make_model(kernel, bias)
    expected = run(model, x)
    compress_weights(model, dtype)
    onnx.checker.check_model(model, full_check=True)
    found = run(model, x)
    scale = np.abs(expected).max(axis=(0, 2, 3), keepdims=True)
    assert (np.abs(found - expected) <= error * scale + 1e-8).all()
    sizes = {t.name: len(t.raw_data) for t in model.graph.initializer}
    assert sizes[f"kernel_{dtype}"] == bytes_each * kernel.size
    assert "kernel" not in sizes and sizes["bias"] == 4 * 16


def test_notes_of_the_exporter_are_dropped():
    model = make_model(np.zeros((16, 8, 3, 3), "float32"), np.zeros(16, "float32"))
    _strip(model)
    assert b"secret" not in model.SerializeToString()
    names = {x.type.tensor_type.shape.dim[0].dim_param for x in model.graph.input}
    assert names == {"batch"}
