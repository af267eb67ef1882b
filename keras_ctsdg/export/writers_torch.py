"""Files that the PyTorch backend writes: ONNX and `.pt2`."""

import contextlib
import json
import logging
import warnings

from keras_ctsdg.export.metadata import CHANNELS
from keras_ctsdg.export.onnx_weights import compress_weights
from keras_ctsdg.export.runtimes import METADATA_KEY

INPUTS, OUTPUTS = ("image", "mask"), ("filled", "edge")


def write_torch(graph, plan, path, metadata):
    """Write a program of `torch.export`.

    Args:
        graph: `FillImage`.
        plan: `ExportPlan`.
        path: `pathlib.Path` to write to.
        metadata: Dict of str to str.
    """
    import torch

    files = {f"{METADATA_KEY}.json": json.dumps(metadata, indent=2)}
    with _quiet():
        torch.export.save(_trace(graph, plan), path, extra_files=files)


def write_onnx(graph, plan, path, metadata):
    """Write an ONNX file with its weights inside, as `write_torch` documents it."""
    import onnx

    model = _translate(graph, plan)
    if plan.dtype != "float32":
        compress_weights(model, plan.dtype)
    _strip(model)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)


def _translate(graph, plan):
    """Return the graph as an `onnx.ModelProto`."""
    import torch

    with _quiet():
        return torch.onnx.export(
            _trace(graph, plan),
            dynamo=True,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            verbose=False,
        ).model_proto


@contextlib.contextmanager
def _quiet():
    """Hold back what the exporters report of their own insides."""
    loggers = [logging.getLogger(name) for name in ("torch.export", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _strip(model):
    """Drop the exporter's notes, which hold paths of this machine, and name sizes."""
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        del graph.metadata_props[:]
        for node in graph.node:
            del node.metadata_props[:]
            graphs += [x.g for x in node.attribute if x.HasField("g")]
    for function in model.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    # They describe features inside, and repeat the name that the size had.
    del model.graph.value_info[:]


def _trace(graph, plan):
    """Trace the graph with a free batch size."""
    import torch

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            # The programs of PyTorch have a `graph` of their own.
            self.fill = graph

        def forward(self, image, mask):
            outputs = self.fill({"image": image, "mask": mask})
            return tuple(outputs[name] for name in OUTPUTS)

    module = Module().eval()
    device = next(iter(module.parameters())).device
    dtype = getattr(torch, plan.image_dtype)
    # With one sample, the batch size would be taken for a constant.
    example = tuple(
        torch.zeros((2, *plan.size, CHANNELS[name]), dtype=dtype, device=device)
        for name in INPUTS
    )
    batch = {0: torch.export.Dim("batch")}
    with torch.no_grad():
        return torch.export.export(
            module, example, dynamic_shapes=(batch, batch), strict=False
        )
