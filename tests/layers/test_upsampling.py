import keras
import numpy as np
import pytest

from keras_ctsdg.layers import BilinearUpSampling2D
from keras_ctsdg.layers.upsampling import resize_aligned
from tests._keras_private import TestCase
from tests.common import assert_close, assert_signature_is_config, call_compiled
from tests.gradients import compute_gradients


class BilinearUpSampling2DConformance(TestCase):
    def test_half_pixel(self):
        self.run_conformance("half_pixel")

    def test_align_corners(self):
        self.run_conformance("align_corners")

    def run_conformance(self, alignment):
        self.run_layer_test(
            BilinearUpSampling2D,
            init_kwargs={"alignment": alignment},
            input_shape=(2, 4, 3, 5),
            expected_output_shape=(2, 8, 6, 5),
            expected_num_trainable_weights=0,
            run_training_check=False,  # The layer has no weights.
        )


def test_half_pixel_by_hand():
    row = np.array([0.0, 4.0]).reshape(1, 1, 2, 1).astype("float32")
    output = call_compiled(BilinearUpSampling2D(), row)
    assert_close(output[0, :, :, 0], [[0, 1, 3, 4]] * 2, 0)


def test_align_corners_by_hand():
    row = np.array([0.0, 3.0]).reshape(1, 1, 2, 1).astype("float32")
    output = call_compiled(BilinearUpSampling2D("align_corners"), row)
    assert_close(output[0, :, :, 0], [[0, 1, 2, 3]] * 2, 1e-6)


@pytest.mark.parametrize("alignment", ["half_pixel", "align_corners"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (64, 48)])
def test_against_torch(alignment, size):
    import torch

    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x.transpose(0, 3, 1, 2)).double(),
        scale_factor=2,
        mode="bilinear",
        align_corners=alignment == "align_corners",
    )
    expected = expected.numpy().transpose(0, 2, 3, 1)
    found = call_compiled(BilinearUpSampling2D(alignment), x)
    assert_close(found, expected, 1e-5)


@pytest.mark.parametrize("alignment", ["half_pixel", "align_corners"])
def test_compiled_and_unknown_sizes(alignment):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, BilinearUpSampling2D(alignment)(inputs))
    assert tuple(model.output.shape) == (None, None, None, 3)
    model.compile(jit_compile=keras.backend.backend() != "torch")
    x = np.random.default_rng(0).normal(size=(2, 6, 10, 3)).astype("float32")
    found = call_compiled(BilinearUpSampling2D(alignment), x)
    assert_close(found, model.predict(x, verbose=0), 1e-5)


def test_aligned_halving_keeps_the_corners():
    x = np.random.default_rng(0).normal(size=(1, 8, 6, 2)).astype("float32")
    half = call_compiled(lambda x: resize_aligned(x, 4, 3), x)
    half = keras.ops.convert_to_numpy(half)
    assert half.shape == (1, 4, 3, 2)
    np.testing.assert_allclose(half[:, ::3, ::2], x[:, ::7, ::5], atol=1e-6)


@pytest.mark.parametrize("alignment", ["half_pixel", "align_corners"])
def test_gradient_reaches_the_input(alignment):
    variable = keras.Variable(np.ones((1, 3, 4, 1)))
    layer = BilinearUpSampling2D(alignment)
    (gradient,) = compute_gradients(lambda: keras.ops.sum(layer(variable)), [variable])
    # The weights of each of the 48 outputs sum to 1.
    assert (gradient > 0).all()
    assert gradient.sum() == pytest.approx(48, rel=1e-5)


def test_signature_is_config():
    assert_signature_is_config(BilinearUpSampling2D())


def test_bad_arguments():
    with pytest.raises(ValueError, match="Received: alignment='nearest'"):
        BilinearUpSampling2D("nearest")
