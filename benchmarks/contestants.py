"""A contestant of the benchmark in a process of its own, which runs on demand.

`python -m benchmarks.contestants NAME TASK SIZE BATCH_SIZE POLICY` builds a model and
runs it once. It then runs it again for each line of its input, and answers with a line
of JSON. `benchmarks/run.py` starts such processes.
"""

import json
import os
import resource
import sys
import time

import numpy as np

LITERAL = "literal"
# PyTorch with `jit_compile=True`, which needs a C++ compiler on a CPU.
COMPILED = "torch-compiled"


def make_batch(batch_size, size):
    """Return images of noise with holes that cover a third of them."""
    rng = np.random.default_rng(0)
    shape = (batch_size, size, size)
    mask = np.zeros((*shape, 1), "float32")
    mask[:, size // 5 : 4 * size // 5, size // 4 : 4 * size // 5] = 1
    return {
        "image": rng.uniform(-1, 1, (*shape, 3)).astype("float32"),
        "gray": rng.uniform(0, 1, (*shape, 1)).astype("float32"),
        "edge": (rng.random((*shape, 1)) < 0.1).astype("float32"),
        "mask": mask,
    }


def literal(task, size, batch_size, policy):
    """Build the literal rendition of the original.

    Returns:
        Tuple of a function that runs the task once, and the GFLOP of a forward pass
        for one image, or `None` for a training step.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks import literal_torch, literal_training

    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = None if policy == "float32" else torch.bfloat16
    generator = literal_torch.Generator().to(device)

    def inputs():
        arrays = make_batch(batch_size or (6 if device == "cuda" else 2), size)
        tensors = [
            torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(device)
            for x in arrays.values()
        ]
        return (*tensors[:3], 1 - tensors[3])

    if task == "step":
        training = literal_training.Training(
            generator,
            literal_torch.Discriminator().to(device),
            literal_training.VGG16().to(device),
            precision,
        )
        tensors = inputs()
        return lambda: [x.item() for x in training.step(*tensors).values()], None

    generator.eval()
    batch_size = batch_size or 1

    def fill():
        image, gray, edge, mask = inputs()
        with (
            torch.inference_mode(),
            torch.autocast(device, precision, precision is not None),
        ):
            output = generator(image * mask, gray * mask, edge * mask, mask)[0]
            return (image * mask + output * (1 - mask)).float().cpu().numpy()

    counter = FlopCounterMode(display=False)
    if policy == "float32":
        with counter:
            fill()
    return fill, counter.get_total_flops() / 1e9 / batch_size


def keras_ctsdg_on(name, task, size, batch_size, policy):
    """Build a model of this package, used as its users do.

    Args:
        name: Str, a backend or `COMPILED`.
        task: `"step"` or `"inference"`.
        size: Int, the side of the images.
        batch_size: Int, or 0 for the default.
        policy: Str, the dtype policy.

    Returns:
        As `literal` does. On TensorFlow and PyTorch there is no count of GFLOP.
    """
    backend = "torch" if name == COMPILED else name
    os.environ["KERAS_BACKEND"] = backend
    import keras

    import keras_ctsdg
    from keras_ctsdg.models import Discriminator, Generator, VGG16Features

    keras.config.set_dtype_policy(policy)
    generator = Generator()
    if task == "step":
        model = keras_ctsdg.CTSDG(generator, Discriminator())
        model.compile(
            perceptual_network=VGG16Features(weights=None),
            jit_compile=True if name == COMPILED else "auto",
        )
        data = make_batch(
            batch_size or (6 if find_device(backend) == "GPU" else 2), size
        )

        def step():
            logs = model.train_on_batch(data, return_dict=True)
            return {name: float(value) for name, value in logs.items()}

        return step, None
    model = keras_ctsdg.CTSDG(generator)
    if name == COMPILED:
        model.jit_compile = True
    data = make_batch(batch_size or 1, size)
    operations = None
    if backend == "jax" and policy == "float32":
        operations = xla_operations(model, data) / 1e9 / (batch_size or 1)
    return lambda: model.predict_on_batch(data), operations


def xla_operations(model, data):
    """Return the operations that XLA counts for a compiled forward pass."""
    import jax

    def forward(trainable, others, data):
        return model.stateless_call(trainable, others, data, training=False)[0]

    variables = [
        [v.value for v in group]
        for group in (model.trainable_variables, model.non_trainable_variables)
    ]
    analysis = jax.jit(forward).lower(*variables, data).compile().cost_analysis()
    return (analysis[0] if isinstance(analysis, list) else analysis)["flops"]


# === Device and memory ===


def find_device(name):
    """Return the device on which a contestant runs, `"CPU"` or `"GPU"`."""
    if name == "tensorflow":
        import tensorflow as tf

        return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if name == "jax":
        import jax

        return "GPU" if jax.default_backend() == "gpu" else "CPU"
    import torch

    return "GPU" if torch.cuda.is_available() else "CPU"


def peak_memory(name):
    """Return the peak memory of the GPU in use, or of this process, in gigabytes."""
    if find_device(name) == "CPU":
        # Never less than the peak of `benchmarks/run.py`, which is small.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
    if name == "tensorflow":
        import tensorflow as tf

        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    if name == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 1e9
    import torch

    return torch.cuda.max_memory_allocated() / 1e9


def loaded_memory(name):
    """Return the memory of this process in gigabytes, or 0 if a GPU is in use."""
    if find_device(name) == "GPU":
        return 0.0
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 1e9
    except OSError:  # Other systems than Linux have no such file.
        return float("nan")


def main():
    name, task, size, batch_size, policy = sys.argv[1:]
    arguments = task, int(size), int(batch_size), policy
    if name == LITERAL:
        run, operations = literal(*arguments)
    else:
        run, operations = keras_ctsdg_on(name, *arguments)
    loaded = loaded_memory(name)
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    answer({"first": first, "gflop": operations, "device": find_device(name)})
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        peak = peak_memory(name)
        answer({"seconds": seconds, "peak": peak, "above": peak - loaded})


def answer(values):
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
