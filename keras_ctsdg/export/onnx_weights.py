"""Smaller weights in ONNX files, which are computed with in float32 all the same."""

import numpy as np

# Small constants stay as they are: thresholds of edges, statistics and biases.
MIN_ELEMENTS = 256


def compress_weights(model, dtype):
    """Store the kernels of an ONNX model in fewer bits.

    Runtimes convert them to float32 when they load the file or before each use.

    Args:
        model: `onnx.ModelProto`, which is changed.
        dtype: `"float16"`, or `"int8"` with a scale for each filter.
    """
    import onnx

    nodes = []
    initializers = model.graph.initializer
    for kernel in list(initializers):
        if kernel.data_type != onnx.TensorProto.FLOAT or len(kernel.dims) != 4:
            continue
        values = onnx.numpy_helper.to_array(kernel)
        if values.size < MIN_ELEMENTS:
            continue
        stored = f"{kernel.name}_{dtype}"
        if dtype == "float16":
            tensors = {stored: values.astype("float16")}
            node = onnx.helper.make_node(
                "Cast", [stored], [kernel.name], to=onnx.TensorProto.FLOAT
            )
        else:
            scale = f"{kernel.name}_scale"
            scales = np.abs(values).max(axis=(1, 2, 3)) / np.float32(127)
            scales = np.where(scales > 0, scales, np.float32(1))
            rounded = np.rint(values / scales[:, None, None, None])
            tensors = {stored: rounded.astype("int8"), scale: scales}
            node = onnx.helper.make_node(
                "DequantizeLinear", [stored, scale], [kernel.name], axis=0
            )
        initializers.remove(kernel)
        for name, tensor in tensors.items():
            initializers.append(onnx.numpy_helper.from_array(tensor, name))
        nodes.append(node)
    # Each node must stand before those that use its result.
    following = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *following])
