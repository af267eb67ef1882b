"""Checkpoints in the formats of the original implementations."""

import numpy as np


def random_source_state(network, names, seed=0):
    """Return a random state dict in PyTorch's layout, with a network's shapes.

    Args:
        network: A Keras model.
        names: Dict of the paths of its weights by their names in the checkpoint.
        seed: Int. Defaults to `0`.

    Returns:
        Dict of float32 arrays by their names in the checkpoint.
    """
    rng = np.random.default_rng(seed)
    shapes = {v.path: tuple(v.shape) for v in network.weights}
    state = {}
    for name, path in names.items():
        shape = shapes[path]
        if len(shape) == 4:
            shape = (shape[3], shape[2], shape[0], shape[1])
        state[name] = rng.normal(size=shape or (1,)).astype("float32")
    return state


def write_torch(path, **content):
    """Write nested dicts of arrays as a PyTorch file and return its path."""
    import torch

    def to_tensors(value):
        if isinstance(value, dict):
            return {name: to_tensors(element) for name, element in value.items()}
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

    torch.save(to_tensors(content), path)
    return path


def write_mindspore(path, state, largest=2**19):
    """Write a MindSpore checkpoint, which is a stream of protocol buffers.

    Args:
        path: Path of the file.
        state: Dict of arrays by name.
        largest: Int, the size in bytes beyond which a tensor is split. Defaults to
            `2**19`.

    Returns:
        The path.
    """
    with open(path, "wb") as file:
        for name, value in state.items():
            dtype = value.dtype.name.capitalize().encode()
            head = b"".join(_encode_field(1, size) for size in value.shape)
            head += _encode_field(2, dtype)
            content = value.tobytes()
            for start in range(0, max(1, len(content)), largest):
                part = _encode_field(3, content[start : start + largest])
                entry = _encode_field(1, name.encode()) + _encode_field(2, head + part)
                file.write(_encode_field(1, entry))
    return path


def _encode_field(tag, content):
    """Encode a field of a protocol buffer: an int, or bytes with their length."""
    if isinstance(content, int):
        return _encode_varint(tag << 3) + _encode_varint(content)
    return _encode_varint(tag << 3 | 2) + _encode_varint(len(content)) + content


def _encode_varint(value):
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + _encode_varint(rest) if rest else bytes([low])
