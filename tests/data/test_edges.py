import numpy as np
import pytest

from keras_ctsdg.data import gray_and_edge
from tests.common import golden


@pytest.mark.parametrize("edges", ["clean", "wrapped"])
def test_golden(edges):
    numbers = golden("preprocessing.npz")
    gray, edge = gray_and_edge(numbers["image"], edges)
    np.testing.assert_allclose(gray, numbers[f"gray_{edges}"], atol=1e-6)
    np.testing.assert_array_equal(edge, numbers[f"edge_{edges}"])
    assert gray.dtype == edge.dtype == np.float32


def test_wrapped_by_hand():
    # -0.5 * 255 is -127 without its fraction, which as a byte is 129.
    gray, _ = gray_and_edge(np.full((8, 8, 3), -0.5), "wrapped")
    np.testing.assert_allclose(gray, 129 / 255, atol=1e-6)
    gray, _ = gray_and_edge(np.full((8, 8, 3), -1.0), "clean")
    np.testing.assert_allclose(gray, 0)


def test_sigma_is_the_width():
    blocks = np.random.default_rng(0).uniform(-1, 1, (4, 4, 3))
    image = blocks.repeat(32, axis=0).repeat(32, axis=1)
    _, fine = gray_and_edge(image, sigma=1.0)
    _, coarse = gray_and_edge(image, sigma=4.0)
    assert fine.sum() > coarse.sum() > 0


def test_bad_input():
    with pytest.raises(ValueError, match="Received: edges='both'"):
        gray_and_edge(np.zeros((8, 8, 3)), "both")
    with pytest.raises(ValueError, match=r"Received: image.shape=\(8, 8\)"):
        gray_and_edge(np.zeros((8, 8)))
