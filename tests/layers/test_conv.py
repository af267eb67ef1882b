import keras
import numpy as np
import pytest
from keras import ops

from keras_ctsdg.layers._conv import Conv2D, MaxPooling2D, convolve
from tests._keras_private import TestCase
from tests.common import assert_close
from tests.gradients import compute_gradients


class ConvolutionConformance(TestCase):
    def test_layers(self):
        for layer, arguments, shape, weights in (
            (Conv2D, {"filters": 3, "kernel_size": 3, "padding": "same"}, (8, 6, 3), 2),
            (MaxPooling2D, {}, (4, 3, 4), 0),
        ):
            self.run_layer_test(
                layer,
                init_kwargs=arguments,
                input_shape=(2, 8, 6, 4),
                expected_output_shape=(2, *shape),
                expected_num_trainable_weights=weights,
                expected_num_non_trainable_weights=0,
                run_training_check=False,
                run_mixed_precision_check=False,  # Keras computes both.
            )


def convolve_by_loops(x, kernel, stride, padding, dilation):
    """Convolve one feature map `[H, W, C]`, by the definition."""
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    extent = dilation * (kernel.shape[0] - 1) + 1
    height, width = ((length - extent) // stride + 1 for length in x.shape[:2])
    output = np.empty((height, width, kernel.shape[-1]))
    for i in range(height):
        for j in range(width):
            top, left = i * stride, j * stride
            window = x[top : top + extent : dilation, left : left + extent : dilation]
            output[i, j] = np.einsum("hwc,hwcf->f", window, kernel)
    return output


@pytest.mark.parametrize(
    "size, stride, padding, dilation",
    [
        (3, 1, 1, 1),
        (5, 2, 2, 1),
        (4, 2, 1, 1),
        (4, 1, 1, 1),
        (3, 1, 4, 4),
        (1, 1, 0, 1),
    ],
)
def test_equals_loops(size, stride, padding, dilation):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 12, 10, 3)).astype("float32")
    kernel = rng.normal(size=(size, size, 3, 5)).astype("float32")
    output = convolve(x, ops.convert_to_tensor(kernel), stride, padding, dilation)
    for actual, features in zip(output, x, strict=True):
        expected = convolve_by_loops(features, kernel, stride, padding, dilation)
        assert_close(actual, expected, 1e-4)


def test_layers_equal_those_of_keras():
    x = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype("float32")
    for layer_class, keras_class, arguments in (
        (Conv2D, keras.layers.Conv2D, (4, 3, 2)),
        (MaxPooling2D, keras.layers.MaxPooling2D, ()),
    ):
        layer = layer_class(*arguments)
        output = layer(x)
        reference = keras_class(*arguments, data_format="channels_last")
        reference.build(x.shape)
        reference.set_weights(layer.get_weights())
        assert_close(output, ops.convert_to_numpy(reference(x)), 1e-5)
        assert "data_format" not in layer.get_config()


def test_first_maximum_receives_the_gradient():
    features = np.array([[1, 1, 3, 0], [0, 1, 5, 2], [2, 4, 0, 0], [4, 4, 0, 0]])
    x = keras.Variable(features[None, ..., None], dtype="float32")
    layer = MaxPooling2D()
    assert_close(layer(x)[0, :, :, 0], [[1, 5], [4, 0]], 0)
    (gradient,) = compute_gradients(lambda: ops.sum(layer(x.value)), [x])
    expected = [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert_close(gradient[0, :, :, 0], expected, 0)
