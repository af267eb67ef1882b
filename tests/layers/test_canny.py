from pathlib import Path

import keras
import numpy as np
import pytest
import skimage
from PIL import Image
from skimage.feature import canny

from keras_ctsdg.data import RandomIrregularMasks
from keras_ctsdg.layers import CannyEdge
from tests._keras_private import TestCase
from tests.common import assert_signature_is_config, call_compiled, to_numpy
from tests.gradients import compute_gradients

# All images that scikit-image ships except a chessboard. Its edges lie halfway between
# two pixels, so rounding decides in any precision which of the two is the edge.
IMAGES = sorted(
    path
    for path in (Path(skimage.__file__).parent / "data").iterdir()
    if path.suffix in (".gif", ".jpg", ".png") and "chessboard" not in path.name
)
SIGMAS = (1.0, 1.5, 2.0, 3.0)


class CannyEdgeConformance(TestCase):
    def test_gray(self):
        self.run_conformance((2, 12, 20, 1))

    def test_gray_and_mask(self):
        self.run_conformance(((2, 12, 20, 1), (2, 12, 20, 1)))

    def run_conformance(self, shape):
        self.run_layer_test(
            CannyEdge,
            init_kwargs={"sigma": 1.5, "low_threshold": 0.2, "high_threshold": 0.3},
            input_shape=shape,
            expected_output_shape=(2, 12, 20, 1),
            expected_num_trainable_weights=0,
            run_training_check=False,  # The layer has no weights.
        )


def load_gray(path, side=None):
    """Read an image, or a square from its center, as float64 grayscale `[H, W]`."""
    gray = np.asarray(Image.open(path).convert("L")) / 255
    if side is None:
        return gray
    missing = [max(0, side - length) for length in gray.shape]
    gray = np.pad(gray, [(x // 2, x - x // 2) for x in missing], "symmetric")
    top, left = ((length - side) // 2 for length in gray.shape)
    return gray[top : top + side, left : left + side]


def find_edges(gray, mask=None, **kwargs):
    """Return the layer's edges of one image `[H, W]`, as bool."""
    inputs = gray[None, ..., None].astype("float32")
    if mask is not None:
        inputs = (inputs, mask[None, ..., None].astype("float32"))
    return to_numpy(call_compiled(CannyEdge(**kwargs), inputs))[0, ..., 0] > 0


def assert_agrees(images, sigma):
    """Assert that 99.9% of each image's pixels agree with scikit-image's.

    Each image is checked without a mask and with one.
    """
    masks = RandomIrregularMasks((0.1, 0.5))
    masks = [masks(i, gray.shape)[..., 0] > 0 for i, gray in enumerate(images)]
    batch = np.stack(images)[..., None].astype("float32")
    layer = CannyEdge(sigma)
    unmasked = to_numpy(call_compiled(layer, batch))[..., 0]
    masked = (batch, np.stack(masks)[..., None])
    masked = to_numpy(call_compiled(layer, masked))[..., 0]
    for i, gray in enumerate(images):
        assert (unmasked[i] == canny(gray, sigma=sigma)).mean() >= 0.999, i
        expected = canny(gray, sigma=sigma, mask=~masks[i])
        assert (masked[i] == expected).mean() >= 0.999, i
        # Some images have no edges.
        assert masked[i].any() == expected.any()


@pytest.mark.parametrize(
    "sigma",
    [
        2.0,
        # The width changes the Gaussian's weights, which Python computes.
        *(
            pytest.param(sigma, marks=pytest.mark.backend_independent)
            for sigma in SIGMAS
            if sigma != 2.0
        ),
    ],
)
def test_agrees_with_scikit_image(sigma):
    assert_agrees([load_gray(path, 256) for path in IMAGES], sigma)


# The test above compares the backends, at a size that costs each of them less.
@pytest.mark.backend_independent
@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_agrees_with_scikit_image_on_whole_images(path):
    for sigma in SIGMAS:
        assert_agrees([load_gray(path)], sigma)


def test_enough_images_are_found():
    assert len(IMAGES) > 20


@pytest.mark.parametrize(
    "sigma",
    [
        0.5,
        *(pytest.param(x, marks=pytest.mark.backend_independent) for x in (0.1, 5.0)),
    ],
)
@pytest.mark.parametrize(
    "size",
    [
        (1, 1),
        (17, 16),
        *(
            pytest.param(x, marks=pytest.mark.backend_independent)
            for x in ((2, 9), (3, 3), (64, 31))
        ),
    ],
)
def test_small_images(size, sigma):
    gray = np.random.default_rng(0).random(size)
    expected = canny(gray, sigma=sigma)
    np.testing.assert_array_equal(find_edges(gray, sigma=sigma), expected)
    mask = np.random.default_rng(1).random(size) < 0.02
    expected = canny(gray, sigma=sigma, mask=~mask)
    np.testing.assert_array_equal(find_edges(gray, mask, sigma=sigma), expected)


def test_thresholds():
    gray = load_gray(next(path for path in IMAGES if path.stem == "camera"), 200)
    thresholds = {"low_threshold": 0.3, "high_threshold": 0.9}
    expected = canny(gray, sigma=1.0, **thresholds)
    found = find_edges(gray, sigma=1.0, **thresholds)
    assert (found == expected).mean() > 0.999
    assert found.sum() < canny(gray, sigma=1.0).sum()
    assert not find_edges(np.zeros((32, 32)), low_threshold=0, high_threshold=0).any()


def test_by_hand():
    """The gradient of a step over three pixels is largest in the middle one."""
    gray = np.zeros((6, 7))
    gray[:, 3], gray[:, 4:] = 0.5, 1.0
    # A Gaussian this narrow leaves every pixel unchanged.
    expected = np.zeros((6, 7), bool)
    expected[1:-1, 3] = True
    np.testing.assert_array_equal(find_edges(gray, sigma=0.1), expected)
    # Sobel's gradient is exactly 4 on the edge.
    kwargs = {"sigma": 0.1, "low_threshold": 0.1}
    np.testing.assert_array_equal(
        find_edges(gray, high_threshold=4, **kwargs), expected
    )
    assert not find_edges(gray, high_threshold=4.01, **kwargs).any()


def winding_line(side, first):
    """Draw a winding line that starts with brightness `first` and continues weakly."""
    weak, head_length = 0.07, 60
    gray = np.zeros((side, side))
    rows = range(8, side - 8, 12)
    for i, row in enumerate(rows):
        gray[row : row + 2, 8:-8] = weak
        if row != rows[-1]:
            column = side - 10 if i % 2 == 0 else 8
            gray[row : row + 14, column : column + 2] = weak
    gray[8:10, 8 : 8 + head_length] = np.linspace(first, weak, head_length)
    return gray


@pytest.mark.parametrize(
    "side", [128, pytest.param(170, marks=pytest.mark.backend_independent)]
)
def test_follows_a_weak_edge_to_its_end(side):
    assert not canny(winding_line(side, 0.07), sigma=1.0).any()
    assert not find_edges(winding_line(side, 0.07), sigma=1.0).any()
    expected = canny(winding_line(side, 0.2), sigma=1.0)
    assert expected[-24:].any()
    np.testing.assert_array_equal(
        find_edges(winding_line(side, 0.2), sigma=1.0), expected
    )


def test_samples_of_a_batch_are_independent():
    batch = np.stack(
        [winding_line(128, 0.07), np.zeros((128, 128)), winding_line(128, 0.2)]
    )
    edge = call_compiled(CannyEdge(1.0), batch[..., None].astype("float32"))
    edge = to_numpy(edge)[..., 0] > 0
    for found, gray in zip(edge, batch, strict=True):
        np.testing.assert_array_equal(found, find_edges(gray, sigma=1.0))


@pytest.mark.parametrize("masked", [False, True])
def test_compiled_and_unknown_sizes(masked):
    inputs = keras.Input((None, None, 1))
    mask = keras.Input((None, None, 1))
    inputs = (inputs, mask) if masked else inputs
    model = keras.Model(inputs, CannyEdge()(inputs))
    assert tuple(model.output.shape) == (None, None, None, 1)
    model.compile(jit_compile=keras.backend.backend() != "torch")
    for path in (IMAGES[0], IMAGES[-1]):
        gray = load_gray(path, 200)
        mask = RandomIrregularMasks((0.1, 0.5))(0, gray.shape)[None]
        x = np.stack([gray, gray[::-1]])[..., None].astype("float32")
        x = (x, np.concatenate([mask, mask])) if masked else x
        found = model.predict(x, verbose=0)
        assert found.any()
        assert (found == to_numpy(call_compiled(CannyEdge(), x))).mean() > 0.9999


def test_half_precision_rounds_only_the_result():
    gray = load_gray(IMAGES[0], 200)
    x = gray[None, ..., None].astype("float32")
    for policy in ("mixed_float16", "mixed_bfloat16"):
        edge = call_compiled(CannyEdge(dtype=policy), x)
        assert keras.backend.standardize_dtype(edge.dtype) == policy.split("_")[1]
        expected = to_numpy(call_compiled(CannyEdge(), x))
        np.testing.assert_array_equal(
            to_numpy(keras.ops.cast(edge, "float32")), expected
        )


def test_values_in_the_hole_have_no_effect():
    gray = load_gray(IMAGES[0], 200)
    mask = np.zeros(gray.shape, bool)
    mask[50:100, 60:150] = True
    expected = find_edges(gray, mask)
    for value in (1.0, np.nan):
        found = find_edges(np.where(mask, value, gray), mask)
        np.testing.assert_array_equal(found, expected)
    assert not find_edges(gray, np.ones_like(mask)).any()
    np.testing.assert_array_equal(find_edges(gray, ~mask & mask), find_edges(gray))


def test_no_gradient_flows_through_edges():
    """Other paths from the same variable keep their gradients."""
    gray = load_gray(IMAGES[0], 64).astype("float32")
    variable = keras.Variable(gray[None, ..., None])
    layer = CannyEdge()
    (gradient,) = compute_gradients(
        lambda: keras.ops.sum(layer(variable.value) + 3.0 * variable.value), [variable]
    )
    np.testing.assert_array_equal(gradient, 3.0)


def test_signature_is_config():
    assert_signature_is_config(CannyEdge())


def test_bad_arguments():
    for sigma in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"Received: sigma={sigma}"):
            CannyEdge(sigma)
    with pytest.raises(ValueError, match="Received: low_threshold=0.3, high"):
        CannyEdge(low_threshold=0.3)
    with pytest.raises(ValueError, match="Received: low_threshold=-1"):
        CannyEdge(low_threshold=-1)


def test_bad_inputs():
    with pytest.raises(ValueError, match=r"Received: gray.shape=\(1, 8, 8, 3\)"):
        CannyEdge().build((1, 8, 8, 3))
    with pytest.raises(ValueError, match=r"Received: gray.shape=\(8, 8\)"):
        CannyEdge().build((8, 8))
    with pytest.raises(ValueError, match="of the same shape. Received: gray.shape"):
        CannyEdge().build(((1, 8, 8, 1), (1, 9, 8, 1)))
    with pytest.raises(ValueError, match="must be called on a tuple"):
        CannyEdge().build(((1, 8, 8, 1),) * 3)
