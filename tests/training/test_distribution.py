"""Several devices and processes, which a test makes of one CPU."""

import pickle

import keras
import numpy as np
import pytest

from keras_ctsdg.training import distribution
from tests.processes import finish_all, start_python
from tests.training.several_devices import (
    BACKEND,
    start_on_two_devices,
    start_program,
    start_two_processes,
    two_environments,
)

TRAINING = "tests.training.distributed_training"
on_torch = pytest.mark.skipif(BACKEND != "torch", reason="is an engine of PyTorch")
on_several_devices = pytest.mark.skipif(
    BACKEND == "torch", reason="one process has one device"
)


def test_one_process_is_the_main_process():
    assert distribution.is_main_process()
    assert distribution.shard() == (0, 1)
    assert distribution.batch_multiple() == 0


@pytest.mark.skipif(BACKEND != "jax", reason="is an engine of JAX")
def test_the_first_of_two_processes_saves_without_the_other(monkeypatch):
    from keras_ctsdg.training import distribution_jax

    monkeypatch.setattr(distribution_jax, "process_count", lambda: 2)
    everywhere = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(everywhere)
    try:
        with distribution.alone():
            assert keras.distribution.distribution() is None
        assert keras.distribution.distribution() is everywhere
    finally:
        keras.distribution.set_distribution(None)


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
assert engine.any_process(rank == 1, None) and not engine.any_process(False, None)
engine.stop()
"""


@on_torch
def test_two_processes_have_the_statistics_of_the_whole_batch():
    finish_all(
        start_python("-W", "ignore", "-c", STATISTICS, KERAS_BACKEND="torch", **two)
        for two in two_environments("torch")
    )


# === Trainings ===


@pytest.fixture(scope="module", params=["sgd", "adam"])
def alone(request, tmp_path_factory):
    """The optimizer, the file and the results of a training on one device."""
    folder = tmp_path_factory.mktemp("alone")
    finish_all([start_program(TRAINING, "single", folder / "one", request.param)])
    return request.param, folder / "one.0", read(folder / "one.0")


@pytest.mark.slow
@on_several_devices
def test_two_devices_train_as_one(alone, tmp_path):
    optimizer, path, single = alone
    arguments = ("together", tmp_path / "two", optimizer, path)
    finish_all(start_on_two_devices(TRAINING, *arguments))
    assert_alike(single, [read(tmp_path / "two.0")], optimizer)


@pytest.mark.slow
def test_two_processes_train_as_one(alone, tmp_path):
    optimizer, path, single = alone
    arguments = ("together", tmp_path / "two", optimizer, path)
    finish_all(start_two_processes(TRAINING, *arguments))
    results = [read(tmp_path / f"two.{rank}") for rank in range(2)]
    assert [result["is_main"] for result in results] == [True, False]
    assert_alike(single, results, optimizer)


@pytest.mark.slow
@on_several_devices
def test_arrays_in_batches_that_devices_do_not_divide():
    finish_all(start_on_two_devices("tests.training.distributed_arrays"))


@pytest.mark.slow
def test_gradients_of_one_device_that_are_not_finite_change_nothing_on_any():
    start = start_two_processes if BACKEND == "torch" else start_on_two_devices
    finish_all(start("tests.training.distributed_bad_step"))


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
            assert_moved_alike(single, result["after"])
    for pair in zip(*(result["after"] for result in results), strict=True):
        np.testing.assert_array_equal(*(pair * 2)[:2])
    filled = np.concatenate([result["filled"] for result in results])
    assert filled.shape == single["filled"].shape


def assert_moved_alike(single, weights):
    """Assert that weights differ by a thousandth of their movement, or by rounding.

    Gradients jump where rounding decides the sign of a residual or of a feature, which
    a training on the reversed batches, the same but for rounding, may have alike.
    """
    differing = [
        find_differing_weights(single["paths"], single["before"], after, weights)
        for after in (single["after"], single["after_reversed"])
    ]
    assert not all(differing), differing


def find_differing_weights(paths, before, after, actual):
    movements, differences = (
        [np.linalg.norm(x - y) for x, y in zip(after, others, strict=True)]
        for others in (before, actual)
    )
    # Each of the three steps rounds the sum of a weight and its update. An update may
    # be small because its terms, as large as those of others, cancel out.
    rounding = 3 * np.finfo("float32").eps
    return [
        (path, float(difference / movement))
        for path, weight, movement, difference in zip(
            paths, after, movements, differences, strict=True
        )
        if difference
        > 1e-3 * movement + rounding * (np.linalg.norm(weight) + max(movements))
    ]


def assert_logs_close(actual, expected, rtol):
    assert set(actual) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol, 1e-6, err_msg=name)


def read(path):
    return pickle.loads(path.read_bytes())
