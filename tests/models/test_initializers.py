import threading

import keras
import numpy as np
import pytest

from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.models._initializers import random_normal, skip_initialization
from tests.common import to_numpy


def test_seed_decides_the_numbers_on_every_backend():
    keras.utils.set_random_seed(3)
    first, second = random_normal(), random_normal(1.0)
    values = to_numpy(first((3, 3, 64, 32)))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, to_numpy(first((3, 3, 64, 32))))
    assert values.mean() == pytest.approx(0, abs=1e-3)
    assert values.std() == pytest.approx(0.02, rel=0.02)
    assert values[0, 0, 0, :2] == pytest.approx([0.00776608, -0.0372979], rel=1e-5)
    others = to_numpy(second((3, 3, 64, 32))) - 1
    assert others.mean() == pytest.approx(0, abs=1e-3)
    assert np.abs(values - others).max() > 0.01
    keras.utils.set_random_seed(3)
    np.testing.assert_array_equal(values, to_numpy(random_normal()((3, 3, 64, 32))))


@pytest.mark.parametrize(
    ("network", "expected"), [(Generator, 4401.5109), (Discriminator, 505.17796)]
)
def test_seed_decides_all_weights_on_every_backend(network, expected):
    keras.utils.set_random_seed(3)
    weights = network(filters=4).get_weights()
    assert sum(abs(x).sum(dtype="float64") for x in weights) == pytest.approx(
        expected, rel=1e-5
    )


def test_initializer_of_a_layer_is_saved():
    layer = keras.layers.Dense(2, kernel_initializer=random_normal(1.0))
    revived = keras.layers.Dense.from_config(layer.get_config())
    initializer = revived.kernel_initializer
    assert type(initializer) is type(layer.kernel_initializer)
    assert (initializer.mean, initializer.stddev) == (1.0, 0.02)


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_kernels_are_zero_where_initialization_is_skipped(network):
    with skip_initialization():
        kernels = [w for w in network(filters=4).get_weights() if w.ndim == 4]
    zeros = sum(not kernel.any() for kernel in kernels)
    # The four kernels of the edge detector are small and always initialized.
    assert len(kernels) - zeros == (0 if network is Generator else 4)
    for kernel in network(filters=4).get_weights():
        assert kernel.ndim < 4 or kernel.any()


def test_skipping_ends_with_its_block():
    with pytest.raises(RuntimeError), skip_initialization():
        raise RuntimeError
    weights = Generator(filters=4).get_weights()
    assert np.std(weights[0]) == pytest.approx(0.02, rel=0.1)


def test_blocks_can_be_nested():
    with skip_initialization():
        with skip_initialization():
            pass
        assert not to_numpy(random_normal(1.0)((2, 2))).any()


def test_threads_do_not_see_each_others_skipping():
    """Two threads meet while one of them skips the initialization."""
    barrier = threading.Barrier(2, timeout=60)
    initializers = {}

    def create_skipped():
        with skip_initialization():
            barrier.wait()
            initializers["skipped"] = random_normal(1.0)
            barrier.wait()

    def create_random():
        barrier.wait()
        initializers["random"] = random_normal(1.0)
        barrier.wait()

    threads = [
        threading.Thread(target=target) for target in (create_skipped, create_random)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {key: type(value).__name__ for key, value in initializers.items()}
    assert names == {"skipped": "Zeros", "random": "NumPyNormal"}
