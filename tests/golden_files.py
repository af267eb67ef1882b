"""The numbers of the original implementations in `tests/golden`."""

import json
from pathlib import Path

import numpy as np

from tests.common import NETWORK_INPUTS

GOLDEN = Path(__file__).parent / "golden"
# Batch size, height and width of the inferences at full width, with weights of seed 0.
CASES = ("s0_2x256x256", "s0_1x128x256")


def read_golden(name):
    """Read a golden file: an `.npz` as a dict of arrays, or a `.json`."""
    path = GOLDEN / name
    if path.suffix == ".json":
        return json.loads(path.read_text())
    with np.load(path) as arrays:
        return dict(arrays)


def read_golden_layer(prefix):
    """Read the arrays of `layers.npz` whose names start with `prefix/`."""
    return {
        name.removeprefix(f"{prefix}/"): value
        for name, value in read_golden("layers.npz").items()
        if name.startswith(f"{prefix}/")
    }


def sample_elements(array, count):
    """Return the elements of a large array that the golden files list."""
    return array.ravel()[np.linspace(0, array.size - 1, count).astype(int)]


def read_case(case):
    """Return the numbers of an inference, and the inputs among them."""
    numbers = read_golden(f"{case}_inference.npz")
    return numbers, {key: numbers[key] for key in NETWORK_INPUTS}
