import keras
import numpy as np
import pytest
from keras import ops
from keras.src import testing

from keras_ctsdg.layers._conv import Conv2D, MaxPooling2D, convolve
from tests.common import assert_close, gradients


class ConvolutionConformance(testing.TestCase):
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
                run_mixed_precision_check=False,  # Both are Keras' own inside.
            )


def by_loops(x, kernel, stride, padding, dilation):
    """The definition, on one picture [H, W, C]."""
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    reach = dilation * (kernel.shape[0] - 1) + 1
    height, width = ((length - reach) // stride + 1 for length in x.shape[:2])
    output = np.empty((height, width, kernel.shape[-1]))
    for i in range(height):
        for j in range(width):
            top, left = i * stride, j * stride
            window = x[top : top + reach : dilation, left : left + reach : dilation]
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
def test_by_loops(size, stride, padding, dilation):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 12, 10, 3)).astype("float32")
    kernel = rng.normal(size=(size, size, 3, 5)).astype("float32")
    output = convolve(x, ops.convert_to_tensor(kernel), stride, padding, dilation)
    for one, picture in zip(output, x, strict=True):
        expected = by_loops(picture, kernel, stride, padding, dilation)
        assert_close(one, expected, 1e-4)


def test_layers_are_as_keras_own():
    x = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype("float32")
    for own, theirs, arguments in (
        (Conv2D, keras.layers.Conv2D, (4, 3, 2)),
        (MaxPooling2D, keras.layers.MaxPooling2D, ()),
    ):
        layer = own(*arguments)
        output = layer(x)
        reference = theirs(*arguments, data_format="channels_last")
        reference.build(x.shape)
        reference.set_weights(layer.get_weights())
        assert_close(output, ops.convert_to_numpy(reference(x)), 1e-5)
        assert "data_format" not in layer.get_config()


def test_gradient_of_a_maximum_goes_to_the_first():
    picture = np.array([[1, 1, 3, 0], [0, 1, 5, 2], [2, 4, 0, 0], [4, 4, 0, 0]])
    x = keras.Variable(picture[None, ..., None], dtype="float32")
    layer = MaxPooling2D()
    assert_close(layer(x)[0, :, :, 0], [[1, 5], [4, 0]], 0)
    (gradient,) = gradients(lambda: ops.sum(layer(x.value)), [x])
    expected = [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert_close(gradient[0, :, :, 0], expected, 0)
