"""Reader of PyTorch's checkpoint files, which runs no code in them."""

import re
import zipfile

from keras_ctsdg._downloads import refuse_failed_download
from keras_ctsdg.checkpoints.name_maps import strip_wrappers

# The authors' file has 0.2 GB, and would have three times that with optimizers.
MAX_BYTES = 2**32
PARTS = ("generator", "discriminator")


def read_torch(path):
    """Read a PyTorch file of tensors without running code in it.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        The content of the file, mostly nested dicts, with tensors as numpy arrays.

    Raises:
        ValueError: If the file holds more than tensors, is damaged, or unpacks to
            4 GiB or more.
        ImportError: If PyTorch is not installed.

    Example:

    ```python
    content = keras_ctsdg.convert.read_torch(Path("CelebA.pt"))
    content["generator"]["ec_texture_1.conv.weight"].shape  # (64, 3, 7, 7)
    ```
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "Reading PyTorch files requires PyTorch. Install it with "
            f'`pip install "keras-ctsdg[torch]"`. Received: {path}'
        ) from error
    refuse_failed_download(path)
    size = _unpacked_size(path)
    if size > MAX_BYTES:
        raise ValueError(
            f"A PyTorch file must unpack to less than {MAX_BYTES >> 30} GiB. "
            f"Received: {path}, {size} bytes"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    # Damaged files and forbidden code raise errors of nearly any class.
    except Exception as error:
        # Without the error itself, which advises to run the code after all.
        raise ValueError(
            "A PyTorch file must be complete and hold only tensors; code in it is not "
            f"run. Received: {path}, {_describe(error)}"
        ) from None
    return _as_arrays(content)


def _describe(error):
    """Return PyTorch's reason without its advice to load the file in another way."""
    message = str(error)
    found = re.search(r"WeightsUnpickler error: (.*?)(?: was not an|$)", message)
    if found:
        return f"which holds more: {found[1]}"
    if "weights_only" in message:
        return "which holds more"
    return message.splitlines()[0] if message else repr(error)


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
    """Read the authors' file, or a bare state dict of their generator.

    Args:
        path: `pathlib.Path` of the file.

    Returns:
        Tuple of a dict `{"generator": state, "discriminator": state}`, without
        networks that are not in the file, and of the training step, or `None`.

    Raises:
        ValueError: If the file holds no state dicts or cannot be read.
        ImportError: If PyTorch is not installed.
    """
    content = read_torch(path)
    parts = content
    if isinstance(content, dict) and "generator" not in content:
        parts, content = {"generator": content}, {}
    if not isinstance(content, dict) or not all(
        isinstance(parts[part], dict) for part in PARTS if part in parts
    ):
        raise ValueError(
            "`source` must hold the authors' state dicts. "
            f"Received: source={path}, with {_describe_types(parts)}"
        )
    states = {part: strip_wrappers(parts[part]) for part in PARTS if part in parts}
    return states, content.get("n_iter")


def _describe_types(content):
    if not isinstance(content, dict):
        return type(content).__name__
    return {name: type(value).__name__ for name, value in content.items()}
