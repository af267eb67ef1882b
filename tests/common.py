"""What several tests need: golden numbers, small inputs, gradients."""

import inspect
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np

from tests.run_all import QUICK

GOLDEN = Path(__file__).parent / "golden"
NETWORK_INPUTS = ("image", "gray", "edge", "mask")
# TensorFlow traces a step for 20 seconds and runs it for 3 without: where tracing is
# not the point, tests say `run_eagerly=TRACES`.
TRACES = keras.backend.backend() == "tensorflow"


def golden(name):
    """A golden file: an `.npz` as a dict, or a `.json`."""
    path = GOLDEN / name
    if path.suffix == ".json":
        return json.loads(path.read_text())
    with np.load(path) as arrays:
        return dict(arrays)


def golden_layer(prefix):
    """The arrays of `layers.npz` whose names start with `prefix/`."""
    return {
        name.removeprefix(f"{prefix}/"): value
        for name, value in golden("layers.npz").items()
        if name.startswith(f"{prefix}/")
    }


def random_batch(size=1, height=128, width=128, seed=0):
    """A batch as the networks take it, of noise with a square hole."""
    rng = np.random.default_rng(seed)
    shape = (size, height, width)
    mask = np.zeros((*shape, 1), "float32")
    mask[:, height // 4 : height // 2, width // 4 : width // 2] = 1.0
    return {
        "image": rng.uniform(-1, 1, (*shape, 3)).astype("float32"),
        "gray": rng.uniform(0, 1, (*shape, 1)).astype("float32"),
        "edge": (rng.random((*shape, 1)) < 0.1).astype("float32"),
        "mask": mask,
    }


def to_numpy(structure):
    """Tensors of any backend as arrays."""
    return keras.tree.map_structure(keras.ops.convert_to_numpy, structure)


def optimizer_slots(model):
    """What both optimizers of a model remember, as arrays."""
    both = model.generator_optimizer, model.discriminator_optimizer
    return [to_numpy(v.value) for optimizer in both for v in optimizer.variables]


# A run in the background has its children ignore Ctrl-C.
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from keras_ctsdg.cli import main
main()
"""

# The last that it prints is the most memory that it took, in gigabytes.
MEASURED = """
from benchmarks.contestants import memory
from keras_ctsdg.cli import main
try:
    main()
finally:
    print(memory("VmHWM"))
"""


def start_command(*arguments, **environment):
    """Starts `keras-ctsdg` as a process of its own, which heeds Ctrl-C."""
    return start_python("-c", COMMAND, *arguments, **environment)


def start_python(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        env={**QUICK, **os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Waits for a process: code, stdout and stderr."""
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


def sample(array, count):
    """The elements that the golden files list of a large tensor."""
    return array.ravel()[np.linspace(0, array.size - 1, count).astype(int)]


def assert_close(actual, expected, atol, rtol=0.0):
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(actual), expected, atol=atol, rtol=rtol
    )


def gradients(loss, variables):
    """Gradients of `loss()` as arrays, by the running backend's own means."""
    values = [variable.value for variable in variables]
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                value = loss()
            result = tape.gradient(value, values)
        case "jax":
            import jax

            def stateless(values):
                mapping = list(zip(variables, values, strict=True))
                with keras.StatelessScope(state_mapping=mapping):
                    return loss()

            result = jax.jit(jax.grad(stateless))(values)
        case "torch":
            import torch

            result = torch.autograd.grad(loss(), values, allow_unused=True)
    return [None if g is None else keras.ops.convert_to_numpy(g) for g in result]


def assert_gradients_reach(loss, variables):
    """Every variable receives a finite gradient that is not all zero."""
    for variable, gradient in zip(variables, gradients(loss, variables), strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 0, variable.path


def assert_signature_is_config(layer):
    """Every constructor argument is in `get_config`, and the other way round."""
    parameters = inspect.signature(type(layer).__init__).parameters.values()
    own = {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD} - {"self"}
    inherited = set(keras.layers.Layer().get_config())
    assert own - inherited == set(layer.get_config()) - inherited


def reference_scores(truth, picture):
    """What scikit-image says to pictures in [0, 1], with the protocol's settings."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    truth, picture = truth.astype("float64"), picture.astype("float64")
    return {
        "psnr": peak_signal_noise_ratio(truth, picture, data_range=1),
        "ssim": structural_similarity(
            truth,
            picture,
            data_range=1,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        ),
        "mae": np.abs(truth - picture).mean(),
    }


# === Checkpoints of the originals ===


def source_state(network, names, seed=0):
    """A state dict in the source's layout, of the size of our network."""
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
    """A PyTorch file of nested dicts of arrays."""
    import torch

    def tensors(value):
        if isinstance(value, dict):
            return {name: tensors(item) for name, item in value.items()}
        return torch.from_numpy(value) if isinstance(value, np.ndarray) else value

    torch.save(tensors(content), path)
    return path


def write_mindspore(path, state, largest=2**19):
    """A MindSpore checkpoint, byte by byte; large tensors in several pieces."""

    def number(value):
        low, rest = value & 127, value >> 7
        return bytes([low | 128]) + number(rest) if rest else bytes([low])

    def field(tag, content):
        if isinstance(content, int):
            return number(tag << 3) + number(content)
        return number(tag << 3 | 2) + number(len(content)) + content

    with open(path, "wb") as file:
        for name, value in state.items():
            kind = value.dtype.name.capitalize().encode()
            head = b"".join(field(1, size) for size in value.shape) + field(2, kind)
            content = value.tobytes()
            for start in range(0, max(1, len(content)), largest):
                tensor = head + field(3, content[start : start + largest])
                file.write(field(1, field(1, name.encode()) + field(2, tensor)))
    return path


def convert_by_command(source, name):
    """Converts by the command, as a user would: seconds, and gigabytes at most."""
    start = time.monotonic()
    command = [sys.executable, "-c", MEASURED, "convert", str(source), name]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return time.monotonic() - start, float(output.split()[-1])
