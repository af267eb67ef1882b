import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks import literal_torch, literal_training
from tests.common import NETWORK_INPUTS, assert_close
from tests.golden.seeded_weights import state_dict
from tests.golden_files import read_golden


@pytest.mark.backend_independent
def test_data_benchmark_runs():
    """The times are not checked, because they need an idle machine."""
    result = subprocess.run(
        [sys.executable, "benchmarks/data.py", "--images", "12", "--rounds", "1"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    for name in ("read and decode", "edges", "masks", "plain loop", "2 threads"):
        assert name in result.stdout


@pytest.mark.slow
@pytest.mark.backend_independent
@pytest.mark.parametrize("backend", ["torch", "jax", "tensorflow"])
def test_network_benchmark_runs(backend):
    contestants = ["literal", backend]
    result = subprocess.run(
        [sys.executable, "benchmarks/run.py", "--tasks", "inference", "--sizes", "128"]
        + ["--policies", "float32", "--rounds", "1", "--contestants", *contestants],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    rows = [
        line.split(" | ") for line in result.stdout.splitlines() if "| 128 |" in line
    ]
    assert [row[3] for row in rows] == contestants
    # At 256 it is 183.5. A quarter of the pixels needs at most a quarter of that; the
    # attention, which grows with their square, needs less.
    assert 30 < float(rows[0][-1].strip(" |")) < 183.5 / 4


@pytest.fixture(scope="module")
def originals():
    """Load the weights of seed 0 into the literal networks."""

    def load(network, part):
        state = {
            name: torch.from_numpy(np.asarray(value))
            for name, value in state_dict(part).items()
            # `features` is an alias of the discriminator's `conv1`.
            if part == "vgg16_features" or ".features." not in name
        }
        network.load_state_dict(state)
        return network

    return (
        load(literal_torch.Generator(), "generator"),
        load(literal_torch.Discriminator(), "discriminator"),
        load(literal_training.VGG16(), "vgg16_features"),
    )


def literal_inputs(numbers):
    tensors = [
        torch.from_numpy(numbers[name].transpose(0, 3, 1, 2).copy())
        for name in NETWORK_INPUTS
    ]
    return (*tensors[:3], 1 - tensors[3])


@pytest.mark.slow
@pytest.mark.backend_independent
def test_literal_is_the_original(originals):
    """The literal rendition computes the numbers of the original."""
    generator, discriminator, vgg = originals
    numbers = read_golden("s0_2x256x256_inference.npz")
    image, gray, edge, mask = literal_inputs(numbers)
    generator.eval()
    with torch.inference_mode():
        outputs = generator(image * mask, gray * mask, edge * mask, mask)
    names = ("output", "projected_image", "projected_edge")
    for name, output in zip(names, outputs, strict=True):
        assert_close(output.permute(0, 2, 3, 1), numbers[name], atol=1e-4)

    training = literal_training.Training(generator.train(), discriminator, vgg)
    losses = training.step(image, gray, edge, mask)
    (expected, *_) = read_golden("s0_2x256x256_training.json")["steps"]
    for name, loss in losses.items():
        value = expected.get(name, expected.get(f"loss_{name}"))
        assert loss.item() == pytest.approx(value, rel=1e-3), name
