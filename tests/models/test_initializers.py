import numpy as np
import pytest

from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.models._initializers import blank


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_blank_networks(network):
    with blank():
        kernels = [w for w in network(filters=8).get_weights() if w.ndim == 4]
    # But the edge detector's four, which are small.
    zero = sum(not kernel.any() for kernel in kernels)
    assert len(kernels) - zero == (0 if network is Generator else 4)
    for kernel in network(filters=8).get_weights():
        assert kernel.ndim < 4 or kernel.any()


def test_blank_ends_with_its_block():
    with pytest.raises(RuntimeError), blank():
        raise RuntimeError
    weights = Generator(filters=8).get_weights()
    assert np.std(weights[0]) == pytest.approx(0.02, rel=0.1)
