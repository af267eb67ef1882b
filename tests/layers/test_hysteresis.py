"""Both forms of hysteresis grow the same edges."""

import numpy as np
import pytest

from keras_ctsdg.data import RandomIrregularMasks
from keras_ctsdg.layers import CannyEdge
from keras_ctsdg.layers._hysteresis import grow_by_pooling, grow_within
from tests.common import to_numpy
from tests.layers.test_canny import IMAGES, assert_agrees, load_gray, winding_line


class PoolingCannyEdge(CannyEdge):
    def grow_edges(self, seeds, candidates):
        return grow_by_pooling(seeds, candidates)


def assert_same_edges(images, sigma):
    """Assert that both forms agree on a batch, with masks and without."""
    masks = RandomIrregularMasks((0.1, 0.5))
    mask = np.stack([masks(i, x.shape) for i, x in enumerate(images)])
    batch = np.stack(images)[..., None].astype("float32")
    for inputs in (batch, (batch, mask)):
        found, expected = (
            to_numpy(layer(sigma)(inputs)) for layer in (PoolingCannyEdge, CannyEdge)
        )
        np.testing.assert_array_equal(found, expected)


def test_same_edges_on_photographs():
    assert_same_edges([load_gray(path, 128) for path in IMAGES[::4]], sigma=2.0)


@pytest.mark.backend_independent
@pytest.mark.slow
@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_same_edges_on_whole_images(path, monkeypatch):
    assert_same_edges([load_gray(path)], sigma=2.0)
    # The same comparison with scikit-image as of the packed form.
    monkeypatch.setattr(CannyEdge, "grow_edges", PoolingCannyEdge.grow_edges)
    assert_agrees([load_gray(path)], 2.0)


def test_follows_a_weak_edge_to_its_end():
    line = winding_line(72, 0.2)[None, ..., None].astype("float32")
    found = to_numpy(PoolingCannyEdge(1.0)(line))
    assert found[0, -24:].any()
    np.testing.assert_array_equal(found, to_numpy(CannyEdge(1.0)(line)))


@pytest.mark.backend_independent
def test_by_hand():
    allowed = np.array([[[1, 1, 1, 0, 1], [0, 0, 0, 1, 0], [1, 0, 0, 0, 0]]], bool)
    seeds = np.zeros_like(allowed)
    seeds[0, 0, 0] = True
    expected = allowed.copy()
    expected[0, 2, 0] = False
    for grow in (grow_by_pooling, grow_within):
        np.testing.assert_array_equal(to_numpy(grow(seeds, allowed)), expected)
        assert not to_numpy(grow(np.zeros_like(seeds), allowed)).any()
