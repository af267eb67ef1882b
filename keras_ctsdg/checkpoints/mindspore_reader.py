"""Reader of MindSpore's checkpoint files, which does not need MindSpore."""

import re
from functools import cache
from typing import Any

import numpy as np

from keras_ctsdg._downloads import refuse_failed_download

PARTS = ("generator", "discriminator")
# The format is little-endian on every machine.
DTYPES = {
    "Float16": "<f2",
    "Float32": "<f4",
    "Float64": "<f8",
    "Int32": "<i4",
    "Int64": "<i8",
}
# The size limit of protobuf messages.
MAX_BYTES = 2**31 - 1


def read_mindspore_parts(path):
    """Read the checkpoint files of the MindSpore port.

    Args:
        path: `pathlib.Path` of a `generator_*.ckpt`. The `discriminator_*.ckpt` with
            the same ending is read, too, if it is in the same folder. A file of
            another name is read as a generator.

    Returns:
        Tuple of a dict `{"generator": state, "discriminator": state}`, whose tensors
        have the names of the file, and of the training step, or `None`. The
        discriminator is left out if there is none.

    Raises:
        ValueError: If there is no generator, or a file cannot be read.
    """
    found = re.fullmatch(r"(generator|discriminator)_(.+)", path.stem)
    files = {"generator": path}
    if found:
        files = {part: path.with_stem(f"{part}_{found[2]}") for part in PARTS}
    if not files["generator"].is_file():
        raise ValueError(
            "A discriminator must be in the same folder as its generator. "
            f"Received: source={path}, no {files['generator']}"
        )
    parts = {
        part: read_mindspore(file) for part, file in files.items() if file.is_file()
    }
    step = found[2] if found else ""
    return parts, int(step) if step.isdigit() else None


def read_mindspore(path):
    """Read one of MindSpore's `.ckpt` files.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        Dict of the tensors' names and numpy arrays.

    Raises:
        ValueError: If it is not such a file, has 2 GiB or more, or a tensor in it is
            incomplete.
    """
    refuse_failed_download(path)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(
            "A MindSpore checkpoint must be smaller than 2 GiB. "
            f"Received: {path}, {size} bytes"
        )
    from google.protobuf.message import DecodeError

    checkpoint: Any = _message_class()()
    try:
        checkpoint.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ValueError(
            "`source` must be a complete MindSpore checkpoint. "
            f"Received: {path}, {error}"
        ) from error
    parts = {}
    for value in checkpoint.value:
        # A large tensor is split into several values with the same name.
        parts.setdefault(value.tag, []).append(value.tensor)
    return {name: _to_array(name, tensors, path) for name, tensors in parts.items()}


def _to_array(name, tensors, path):
    """Join the pieces of a tensor to an array."""
    kind, shape = tensors[0].tensor_type, tuple(tensors[0].dims)
    content = b"".join(tensor.tensor_content for tensor in tensors)
    if kind not in DTYPES:
        raise ValueError(
            f"Tensor {name} must have one of the types {list(DTYPES)}. "
            f"Received: {kind!r} in {path}"
        )
    array = np.frombuffer(content, "u1")
    num_bytes = int(np.prod(shape, dtype="int64")) * np.dtype(DTYPES[kind]).itemsize
    if min(shape, default=1) < 0 or array.size != num_bytes:
        raise ValueError(
            f"Tensor {name} must hold {num_bytes} bytes for its shape {shape}. "
            f"Received: {array.size} bytes in {path}"
        )
    return array.view(DTYPES[kind]).reshape(shape)


@cache
def _message_class():
    """Return the class of the format's protobuf message.

    It is described here, so that no generated code is needed.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    package = "keras_ctsdg.checkpoints.mindspore_reader"
    file = descriptor_pb2.FileDescriptorProto(name=package, package=package)
    field = descriptor_pb2.FieldDescriptorProto

    def add_message(name, *fields):
        message = file.message_type.add(name=name)
        for number, (field_name, kind, repeated) in enumerate(fields, start=1):
            label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            added = message.field.add(name=field_name, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = field.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                added.type = kind

    add_message(
        "Tensor",
        ("dims", field.TYPE_INT64, True),
        ("tensor_type", field.TYPE_STRING, False),
        ("tensor_content", field.TYPE_BYTES, False),
    )
    add_message("Value", ("tag", field.TYPE_STRING, False), ("tensor", "Tensor", False))
    add_message("Checkpoint", ("value", "Value", True))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName(f"{package}.Checkpoint")
    return message_factory.GetMessageClass(descriptor)
