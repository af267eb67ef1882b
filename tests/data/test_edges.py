from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage
from skimage.color import rgb2gray
from skimage.feature import canny

from keras_ctsdg.data import RandomIrregularMasks, edges, gray_and_edge
from tests.golden_files import read_golden

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("mode", ["clean", "wrapped"])
def test_golden(mode):
    numbers = read_golden("preprocessing.npz")
    gray, edge = gray_and_edge(numbers["image"], mode)
    np.testing.assert_allclose(gray, numbers[f"gray_{mode}"], atol=1e-6)
    np.testing.assert_array_equal(edge, numbers[f"edge_{mode}"])
    assert gray.dtype == edge.dtype == np.float32


@pytest.mark.parametrize("sigma", [0.5, 2.0, 3.0])
def test_equals_scikit_image_exactly(sigma):
    rng = np.random.default_rng(0)
    images = [
        skimage.data.astronaut()[:300, :200],
        skimage.data.chelsea(),
        skimage.data.coffee()[::2, ::2],
        skimage.data.rocket()[:256, :256],
        np.repeat(skimage.data.camera()[:300, :300, None], 3, axis=-1),
        # Many equal gradients, and sizes of few pixels.
        85 * rng.integers(0, 4, (64, 64, 3), "uint8"),
        *(
            rng.integers(0, 256, (*size, 3), "uint8")
            for size in ((1, 1), (2, 9), (3, 3))
        ),
    ]
    for levels in images:
        gray, edge = gray_and_edge(levels / np.float32(127.5) - 1, sigma=sigma)
        expected = rgb2gray(levels)
        np.testing.assert_array_equal(gray[..., 0], expected.astype("float32"))
        np.testing.assert_array_equal(edge[..., 0], canny(expected, sigma=sigma))


@pytest.mark.parametrize("sigma", [0.5, 2.0, 3.0])
def test_equals_scikit_image_with_mask(sigma):
    rng = np.random.default_rng(0)
    masks = RandomIrregularMasks((0.1, 0.7))
    images = [
        skimage.data.astronaut()[:300, :200],
        skimage.data.chelsea(),
        rng.integers(0, 256, (64, 64, 3), "uint8"),
        rng.integers(0, 256, (3, 9, 3), "uint8"),
    ]
    for i, levels in enumerate(images):
        mask = masks(i, levels.shape[:2])[..., 0] > 0
        gray = rgb2gray(levels)
        found = edges.canny(gray, sigma, mask)
        np.testing.assert_array_equal(found, canny(gray, sigma=sigma, mask=~mask))
        assert gray[mask].any()  # The argument is not modified.
        # Buffers keep nothing of the mask for the next call.
        np.testing.assert_array_equal(edges.canny(gray, sigma), canny(gray, sigma))


@pytest.mark.parametrize("mode", ["clean", "wrapped"])
def test_edges_do_not_depend_on_the_hole(mode):
    """No edge follows the boundary of a hole, and its color does not matter."""
    mask = np.zeros((128, 128, 1))
    mask[40:80, 50:90] = 1
    found = []
    for fill in (-1.0, -0.9, 1.0):
        image = np.full((128, 128, 3), -0.3)
        image[:, 20:] = 0.3
        image = np.where(mask > 0, fill, image)
        assert gray_and_edge(image, mode)[1][36:84, 46:94].any()
        found.append(gray_and_edge(image, mode, mask=mask)[1])
        assert not found[-1][:, 40:].any()
        assert found[-1][1:-1, 15:25].any(axis=1).all()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_mask_without_hole_and_all_hole():
    image = skimage.data.astronaut()[:100, :100] / np.float32(127.5) - 1
    all_hole = gray_and_edge(image, mask=np.ones((100, 100)))[1]
    assert not all_hole.any()
    _, expected = gray_and_edge(image)
    _, edge = gray_and_edge(image, mask=np.zeros((100, 100, 1), "float32"))
    np.testing.assert_array_equal(edge, expected)


def test_threads_do_not_share_buffers():
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (40, 64, 64, 3)).astype("float32")
    expected = [gray_and_edge(image)[1] for image in images]
    with ThreadPoolExecutor(4) as executor:
        found = list(executor.map(gray_and_edge, images))
    for (_, edge), other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(edge, other)


def test_wrapped_by_hand():
    # -0.5 * 255 truncates to -127, which wraps around to the byte 129.
    gray, _ = gray_and_edge(np.full((8, 8, 3), -0.5), "wrapped")
    np.testing.assert_allclose(gray, 129 / 255, atol=1e-6)
    gray, _ = gray_and_edge(np.full((8, 8, 3), -1.0), "clean")
    np.testing.assert_allclose(gray, 0)


def test_larger_sigma_gives_fewer_edges():
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
    with pytest.raises(ValueError, match=r"Received: mask.shape=\(9, 8\)"):
        gray_and_edge(np.zeros((8, 8, 3)), mask=np.zeros((9, 8)))
