"""PyTorch's checkpoint files, read without running the code in them."""

import zipfile

# The authors' file has 0.2 GB; optimizers would make it three times that.
MAX_BYTES = 2**32
PARTS = ("generator", "discriminator")


def read_torch(path):
    """Reads a PyTorch file of tensors, by the loader that runs no code.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        What the file holds, tensors as numpy arrays.

    Raises:
        ValueError: If the file holds more than tensors, is damaged or too large.
        ImportError: If PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "PyTorch's files are read by PyTorch. Install it with "
            f'`pip install "keras-ctsdg[torch]"`. Received: {path}'
        ) from error
    size = _unpacked_size(path)
    if size > MAX_BYTES:
        raise ValueError(
            f"A PyTorch file must unpack to less than {MAX_BYTES >> 30} GiB. "
            f"Received: {path}, {size} bytes"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    # Damage and forbidden code raise nearly anything.
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise ValueError(
            "A PyTorch file must be whole and hold tensors alone; code in it is not "
            f"run. Received: {path}, {reason}"
        ) from error
    return _as_arrays(content)


def _unpacked_size(path):
    if not zipfile.is_zipfile(path):
        return path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _as_arrays(content):
    if isinstance(content, dict):
        return {name: _as_arrays(value) for name, value in content.items()}
    return content.numpy() if hasattr(content, "numpy") else content


def read_torch_parts(path):
    """The authors' file: state dicts by part, and the training step."""
    content = read_torch(path)
    parts = content
    if isinstance(content, dict) and "generator" not in content:
        parts, content = {"generator": content}, {}
    if not isinstance(content, dict) or not all(
        isinstance(parts[part], dict) for part in PARTS if part in parts
    ):
        raise ValueError(
            "`source` must hold the authors' state dicts. "
            f"Received: source={path}, with {_kinds(parts)}"
        )
    return {part: parts[part] for part in PARTS if part in parts}, content.get("n_iter")


def _kinds(content):
    if not isinstance(content, dict):
        return type(content).__name__
    return {name: type(value).__name__ for name, value in content.items()}
