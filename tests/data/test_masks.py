import numpy as np
import pytest

from keras_ctsdg.data import RandomIrregularMasks

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("mask_ratio", [(0.05, 0.1), (0.2, 0.4), (0.9, 0.99)])
@pytest.mark.parametrize("size", [(128, 128), (32, 100)])
def test_mask_ratio_is_in_range(mask_ratio, size):
    masks = RandomIrregularMasks(mask_ratio, seed=3)
    for i in range(20):
        mask = masks(i, size)
        assert mask.shape == (*size, 1)
        assert set(np.unique(mask)) == {0.0, 1.0}
        # Rounding to whole pixels changes it by half a pixel at most.
        pixels = size[0] * size[1]
        assert (
            mask_ratio[0] - 0.5 / pixels <= mask.mean() <= mask_ratio[1] + 0.5 / pixels
        )


def test_mask_depends_on_seed_and_index_alone():
    masks, again = RandomIrregularMasks(seed=1), RandomIrregularMasks(seed=1)
    later = again(5, (64, 64))
    np.testing.assert_array_equal(masks(0, (64, 64)), again(0, (64, 64)))
    np.testing.assert_array_equal(masks(5, (64, 64)), later)
    assert (masks(0, (64, 64)) != masks(1, (64, 64))).any()
    assert (masks(0, (64, 64)) != RandomIrregularMasks(seed=2)(0, (64, 64))).any()


@pytest.mark.parametrize("mask_ratio", [(0.0, 0.5), (0.5, 1.0), (0.5, 0.2)])
def test_bad_mask_ratio(mask_ratio):
    with pytest.raises(ValueError, match="Received: mask_ratio="):
        RandomIrregularMasks(mask_ratio)


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match=f"`seed` must be .*Received: seed={seed}"):
        RandomIrregularMasks(seed=seed)
