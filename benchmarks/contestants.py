"""One contestant in a process of its own, which runs when it is told to.

`python -m benchmarks.contestants NAME TASK SIZE BATCH_SIZE POLICY`: prepares and warms
up, then answers each line of its input with a line of JSON; `benchmarks/run.py` asks.
"""

import json
import os
import sys
import time

import numpy as np

LITERAL = "literal"


def batch(batch_size, size):
    """Pictures of noise with a third of them missing."""
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
    """The literal rendition, and the multiply-adds of its forward pass times two."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks import literal_torch, literal_training

    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = None if policy == "float32" else torch.bfloat16
    generator = literal_torch.Generator().to(device)

    def inputs():
        arrays = batch(batch_size or (6 if device == "cuda" else 2), size)
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


def keras_ctsdg_on(backend, task, size, batch_size, policy):
    """This package, used as its users do."""
    os.environ["KERAS_BACKEND"] = backend
    import keras

    import keras_ctsdg
    from keras_ctsdg.models import Discriminator, Generator, VGG16Features

    keras.config.set_dtype_policy(policy)
    generator = Generator()
    if task == "step":
        model = keras_ctsdg.CTSDG(generator, Discriminator())
        model.compile(perceptual_network=VGG16Features(weights=None))
        data = batch(batch_size or (6 if device(backend) == "GPU" else 2), size)

        def step():
            logs = model.train_on_batch(data, return_dict=True)
            return {name: float(value) for name, value in logs.items()}

        return step, None
    model = keras_ctsdg.CTSDG(generator)
    data = batch(batch_size or 1, size)
    operations = None
    if backend == "jax" and policy == "float32":
        operations = xla_operations(model, data) / 1e9 / (batch_size or 1)
    return lambda: model.predict_on_batch(data), operations


def xla_operations(model, data):
    """What XLA counts for a forward pass that it compiled."""
    import jax

    def forward(trainable, others, data):
        return model.stateless_call(trainable, others, data, training=False)[0]

    variables = [
        [v.value for v in group]
        for group in (model.trainable_variables, model.non_trainable_variables)
    ]
    analysis = jax.jit(forward).lower(*variables, data).compile().cost_analysis()
    return (analysis[0] if isinstance(analysis, list) else analysis)["flops"]


# === The machine ===


def device(name):
    """`"CPU"` or `"GPU"`, where a contestant works."""
    if name == "tensorflow":
        import tensorflow as tf

        return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if name == "jax":
        import jax

        return "GPU" if jax.default_backend() == "gpu" else "CPU"
    import torch

    return "GPU" if torch.cuda.is_available() else "CPU"


def peak(name):
    """Gigabytes at most: of the device, or of this process where that is a CPU."""
    if device(name) == "CPU":
        return memory("VmHWM")
    if name == "tensorflow":
        import tensorflow as tf

        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    if name == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 1e9
    import torch

    return torch.cuda.max_memory_allocated() / 1e9


def memory(field, process="self"):
    """Gigabytes of a process, by Linux: `VmRSS` as it is, or `VmHWM` at its highest.

    Not `ru_maxrss`, in which a new process has the peak of the one that started it.
    """
    try:
        with open(f"/proc/{process}/status") as file:
            lines = dict(line.split(":", 1) for line in file)
    except OSError:
        return float("nan")
    return int(lines[field].split()[0]) * 1024 / 1e9


def main():
    name, task, size, batch_size, policy = sys.argv[1:]
    arguments = task, int(size), int(batch_size), policy
    if name == LITERAL:
        run, operations = literal(*arguments)
    else:
        run, operations = keras_ctsdg_on(name, *arguments)
    loaded = memory("VmRSS") if device(name) == "CPU" else 0.0
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    answers = sys.stdout
    print(json.dumps({"first": first, "gflop": operations, "device": device(name)}))
    answers.flush()
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        used = peak(name)
        print(json.dumps({"seconds": seconds, "peak": used, "above": used - loaded}))
        answers.flush()


if __name__ == "__main__":
    main()
