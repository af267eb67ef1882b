"""MindSpore's checkpoint files, read without MindSpore."""

import re
from functools import cache

import numpy as np

from keras_ctsdg.checkpoints.name_maps import (
    discriminator_names,
    generator_names,
    mindspore_names,
)

# Little-endian, as the format has them on any machine.
DTYPES = {
    "Float16": "<f2",
    "Float32": "<f4",
    "Float64": "<f8",
    "Int32": "<i4",
    "Int64": "<i8",
}
# The largest message that protobuf reads.
MAX_BYTES = 2**31 - 1


def read_mindspore_parts(path):
    """Reads what MindSpore's port has written of a training.

    Args:
        path: `pathlib.Path` of a `generator_*.ckpt`; the `discriminator_*.ckpt` of
            the same name is taken along if it lies beside it.

    Returns:
        Tuple of a dict `{"generator": state, "discriminator": state}`, whose tensors
        have the authors' names, and of the training step, or `None`.

    Raises:
        ValueError: If there is no generator, or a file can't be read.
    """
    found = re.fullmatch(r"(generator|discriminator)_(.+)", path.stem)
    names = {"generator": generator_names(), "discriminator": discriminator_names()}
    files = {"generator": path}
    if found:
        files = {part: path.with_stem(f"{part}_{found[2]}") for part in names}
    if not files["generator"].is_file():
        raise ValueError(
            "A discriminator must have its generator beside it. "
            f"Received: source={path}, no {files['generator']}"
        )
    parts = {
        part: _under_authors_names(read_mindspore(file), mindspore_names(names[part]))
        for part, file in files.items()
        if file.is_file()
    }
    step = found[2] if found else ""
    return parts, int(step) if step.isdigit() else None


def _under_authors_names(state, names):
    """What the map does not know keeps its name, under which it is reported."""
    state = {names.get(name, name): value for name, value in state.items()}
    for name, value in state.items():
        if name.endswith(("weight_u", "weight_v")) and value.shape[1:] == (1,):
            state[name] = value[:, 0]  # They are columns there.
    return state


def read_mindspore(path):
    """Reads a `.ckpt` of MindSpore's.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        Dict of the tensors' names and numpy arrays.

    Raises:
        ValueError: If it is no such file, or a tensor in it is not whole.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(
            "A MindSpore checkpoint must be under 2 GiB. "
            f"Received: {path}, {size} bytes"
        )
    from google.protobuf.message import DecodeError

    checkpoint = _message_class()()
    try:
        checkpoint.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ValueError(
            f"`source` must be a whole MindSpore checkpoint. Received: {path}, {error}"
        ) from error
    parts = {}
    for value in checkpoint.value:
        # A large tensor is cut into several values of one name.
        parts.setdefault(value.tag, []).append(value.tensor)
    return {name: _array(name, tensors, path) for name, tensors in parts.items()}


def _array(name, tensors, path):
    kind, shape = tensors[0].tensor_type, tuple(tensors[0].dims)
    content = b"".join(tensor.tensor_content for tensor in tensors)
    if kind not in DTYPES:
        raise ValueError(
            f"Tensor {name} must be of a type among {list(DTYPES)}. "
            f"Received: {kind!r} in {path}"
        )
    array = np.frombuffer(content, "u1")
    wanted = int(np.prod(shape, dtype="int64")) * np.dtype(DTYPES[kind]).itemsize
    if min(shape, default=1) < 0 or array.size != wanted:
        raise ValueError(
            f"Tensor {name} must hold {wanted} bytes for its shape {shape}. "
            f"Received: {array.size} bytes in {path}"
        )
    return array.view(DTYPES[kind]).reshape(shape)


@cache
def _message_class():
    """The format's message, described here: protobuf then needs no generated code."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    package = "keras_ctsdg.checkpoints.mindspore_reader"
    file = descriptor_pb2.FileDescriptorProto(name=package, package=package)
    field = descriptor_pb2.FieldDescriptorProto

    def add_message(name, *fields):
        message = file.message_type.add(name=name)
        for number, (field_name, kind, repeated) in enumerate(fields, start=1):
            label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            made = message.field.add(name=field_name, number=number, label=label)
            if isinstance(kind, str):
                made.type, made.type_name = field.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                made.type = kind

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
