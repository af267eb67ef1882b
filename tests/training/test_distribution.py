"""Several devices and processes, which a test makes of one CPU."""

import json
import pickle
import socket

import keras
import numpy as np
import pytest

from keras_ctsdg.training import distribution
from tests.processes import finish, run_python, start_python

BACKEND = keras.backend.backend()
on_torch = pytest.mark.skipif(BACKEND != "torch", reason="is an engine of PyTorch")


def test_one_process_is_the_main_process():
    assert distribution.is_main_process()
    assert distribution.shard() == (0, 1)
    assert distribution.batch_multiple() == 0


# === One process on PyTorch ===


@on_torch
def test_tensors_are_split_into_buckets_of_one_dtype():
    import torch

    from keras_ctsdg.training.distribution_torch import split_into_buckets

    tensors = [torch.zeros(n) for n in (4, 4, 9, 1)] + [torch.zeros(1).half()]
    assert split_into_buckets(tensors, size=32) == [[0, 1], [2], [3], [4]]


# === Batch normalization of two processes ===

STATISTICS = """
import sys
import keras, numpy as np, torch
from keras_ctsdg.layers._batch_mean import batch_weights
from keras_ctsdg.layers._batch_norm import BatchNormalization
from keras_ctsdg.training import distribution_torch as engine
engine.start()
rank = engine.process_index()
x = np.random.default_rng(0).normal(3, 2, (3, 4, 4, 2)).astype("float32")

def run(x, weights):
    layer = BatchNormalization()
    x = torch.tensor(x, requires_grad=True)
    with batch_weights(weights, engine.all_sum):
        y = layer(x, training=True)
    loss = torch.sin(y).sum(dim=(1, 2, 3))
    loss = (loss if weights is None else weights * loss).sum()
    return y, torch.autograd.grad(loss, x)[0], layer.get_weights()

y, gradient, weights = run(x, None)
# The second process has one sample, and one that only fills up.
part = x[:2] if rank == 0 else np.stack([x[2], 9 * x[0]])
used = 2 - rank
y2, gradient2, weights2 = run(part, torch.tensor([1.0, 1.0 - rank]))
rows = slice(0, 2) if rank == 0 else slice(2, 3)
for a, b in [(y[rows], y2[:used]), (gradient[rows], gradient2[:used])]:
    np.testing.assert_allclose(a.detach(), b.detach(), atol=1e-5)
assert rank == 0 or not gradient2[1].any()
for a, b in zip(weights, weights2):
    np.testing.assert_allclose(a, b, atol=1e-6)
sums = engine.GradientSums([torch.full((2, 2), 1.0 + rank), torch.ones(3).half()])
assert [x.flatten().tolist() for x in sums.wait()] == [[3.0] * 4, [2.0] * 3]
values = [torch.full((2,), float(rank)), torch.full((1,), 7 * rank)]
engine.copy_from_main_process(values)
assert not any(x.any() for x in values)
engine.stop()
"""


@on_torch
def test_two_processes_have_the_statistics_of_the_whole_batch():
    port = free_port()
    finish_all(
        start_python("-W", "ignore", "-c", STATISTICS, **torch_environment(rank, port))
        for rank in range(2)
    )


# === Trainings ===

# Two logical devices of TensorFlow.
TWO_CPUS = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
logical = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, logical)
from keras_ctsdg.training import distribution_tensorflow
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
distribution_tensorflow.start = strategy.scope
from tests.training.distributed_training import main
main(*sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.skipif(BACKEND == "torch", reason="one process has one device")
def test_two_devices_train_as_one(optimizer, tmp_path):
    single = train_alone(tmp_path, optimizer)
    arguments = ("together", tmp_path / "two", optimizer, tmp_path / "one.0")
    if BACKEND == "tensorflow":
        run_python(TWO_CPUS, *arguments, backend=BACKEND)
    else:
        flags = "--xla_force_host_platform_device_count=2"
        process = start_training(*arguments, XLA_FLAGS=flags)
        finish_all([process])
    assert_alike(single, [read(tmp_path / "two.0")], optimizer)


# Five samples in batches of three, which two devices do not divide.
ARRAYS = """
import keras, numpy as np
from tests.common import random_batch
from tests.training.common import make_model
keras.distribution.set_distribution(
    keras.distribution.DataParallel(auto_shard_dataset=False)
)
model = make_model()
data = random_batch(5)
model.fit(data, batch_size=3, verbose=0)
logs = model.evaluate(data, batch_size=3, verbose=0, return_dict=True)
assert logs["samples"] == 5 and np.isfinite(logs["loss"])
filled = model.predict(data, batch_size=3, verbose=0)
assert filled.shape == (5, 128, 128, 3)
one = {key: x[4:] for key, x in data.items()}
assert np.abs(model.predict_on_batch(one) - filled[4:]).max() < 1e-4
assert model.test_on_batch(one, return_dict=True)["samples"] == 1
"""


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "jax", reason="is a distribution of JAX")
def test_arrays_in_batches_that_devices_do_not_divide():
    flags = "--xla_force_host_platform_device_count=2"
    run_python(ARRAYS, backend="jax", XLA_FLAGS=flags)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_two_processes_train_as_one(optimizer, tmp_path):
    single = train_alone(tmp_path, optimizer)
    out, ports = tmp_path / "two", (free_port(), free_port())
    environments = [ENVIRONMENTS[BACKEND](rank, *ports) for rank in range(2)]
    finish_all(
        start_training("together", out, optimizer, tmp_path / "one.0", **environment)
        for environment in environments
    )
    results = [read(tmp_path / f"two.{rank}") for rank in range(2)]
    assert [result["is_main"] for result in results] == [True, False]
    assert_alike(single, results, optimizer)


def train_alone(folder, optimizer):
    finish_all([start_training("single", folder / "one", optimizer)])
    return read(folder / "one.0")


def assert_alike(single, results, optimizer):
    """Assert that a training of several devices came to that of a single one."""
    for result in results:
        for expected, actual in zip(single["steps"], result["steps"], strict=True):
            assert_logs_close(actual, expected, 1e-4)
        assert_logs_close(result["logs"], single["logs"], 1e-3)
        assert result["logs"]["samples"] == 11
        np.testing.assert_allclose(
            result["inpainted"].astype(int), single["inpainted"].astype(int), atol=2
        )
        if optimizer == "sgd":
            for name, before, after, other in zip(
                *(single[key] for key in ("paths", "before", "after")),
                result["after"],
                strict=True,
            ):
                moved = np.linalg.norm(after - before)
                # Each of the three steps rounds the sum of a weight and its update.
                rounding = 3 * np.finfo("float32").eps * np.linalg.norm(after)
                assert np.linalg.norm(other - after) <= 1e-3 * moved + rounding, name
    for pair in zip(*(result["after"] for result in results), strict=True):
        np.testing.assert_array_equal(*(pair * 2)[:2])
    filled = np.concatenate([result["filled"] for result in results])
    assert filled.shape == single["filled"].shape


def assert_logs_close(actual, expected, rtol):
    assert set(actual) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol, 1e-6, err_msg=name)


# === Processes ===


def start_training(*arguments, **environment):
    module = "tests.training.distributed_training"
    environment = {"KERAS_BACKEND": BACKEND, **environment}
    return start_python("-W", "ignore", "-m", module, *arguments, **environment)


def finish_all(processes):
    for process in list(processes):
        exit_code, _, stderr = finish(process)
        assert exit_code == 0, stderr


def free_port():
    with socket.socket() as sock:
        sock.bind(("localhost", 0))
        return sock.getsockname()[1]


def read(path):
    return pickle.loads(path.read_bytes())


def torch_environment(rank, port, _=None):
    """Return what `torchrun` tells one of two processes."""
    return {
        "KERAS_BACKEND": "torch",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
    }


def jax_environment(rank, port, _):
    return {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"localhost:{port}",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
        "KERAS_DISTRIBUTION_PROCESS_ID": str(rank),
    }


def tensorflow_environment(rank, *ports):
    workers = [f"localhost:{port}" for port in ports]
    task = {"type": "worker", "index": rank}
    return {"TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": task})}


ENVIRONMENTS = {
    "torch": torch_environment,
    "jax": jax_environment,
    "tensorflow": tensorflow_environment,
}
