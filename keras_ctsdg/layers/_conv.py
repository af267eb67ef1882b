"""Convolutions and pooling in the form that is fastest on each backend."""

import keras
from keras import ops

from keras_ctsdg.layers._conv_gradients import (
    prefers_products,
    runs_on_xla_cpu,
    with_gradients_as_products,
)
from keras_ctsdg.layers._ops import zero_pad


def convolve(x, kernel, strides=1, padding=0, dilation_rate=1):
    """Convolve feature maps that are zero-padded equally on every side.

    Args:
        x: Tensor `[B, H, W, C]`.
        kernel: Tensor `[size, size, C, filters]`, of odd or even size.
        strides: Int, the stride of the window. Defaults to `1`.
        padding: Int, the number of zeros on every side. Defaults to `0`.
        dilation_rate: Int. Defaults to `1`.

    Returns:
        Tensor `[B, H', W', filters]`.
    """
    extent = dilation_rate * (kernel.shape[0] - 1)
    if strides == 1 and 2 * padding == extent:
        mode = "same"
    else:
        # With larger strides, `same` pads one side only.
        mode, x = "valid", zero_pad(x, padding)
    return _conv(x, kernel, (strides,) * 2, mode, (dilation_rate,) * 2)


def _conv(x, kernel, strides, padding, dilation_rate):
    """Compute `ops.conv` on `[B, H, W, C]` in the backend's fastest form."""
    if kernel.shape[:2] == (1, 1) and strides == (1, 1) and runs_on_xla_cpu():
        return ops.matmul(x, kernel[0, 0])

    def convolve(x, kernel):
        return apply_in_native_format(
            lambda x, data_format: ops.conv(
                x, kernel, strides, padding, data_format, dilation_rate
            ),
            x,
        )

    if prefers_products(x, kernel, strides, padding, dilation_rate):
        convolve = with_gradients_as_products(
            convolve, strides[0], padding, dilation_rate[0]
        )
    return convolve(x, kernel)


def apply_in_native_format(function, x):
    """Run a convolution or pooling in the backend's native data format.

    PyTorch has only one format, channels first, but accepts any memory layout. Keras
    copies `channels_last` tensors to that format and back; a transposed view avoids
    both copies.

    Args:
        function: Function of a feature map and a Keras `data_format`.
        x: Tensor `[B, H, W, C]`.

    Returns:
        Tensor `[B, H', W', C']`.
    """
    if keras.backend.backend() != "torch":
        return function(x, "channels_last")
    x = function(ops.transpose(x, (0, 3, 1, 2)), "channels_first")
    return ops.transpose(x, (0, 2, 3, 1))


class _ChannelsLast(keras.layers.Layer):
    """Mixin for Keras layers on `[B, H, W, C]`, whatever `image_data_format` says."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, data_format="channels_last", **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["data_format"]
        return config


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class Conv2D(_ChannelsLast, keras.layers.Conv2D):
    """`keras.layers.Conv2D` on `[B, H, W, C]`, without copies on PyTorch."""

    def convolution_op(self, inputs, kernel):
        return _conv(inputs, kernel, self.strides, self.padding, self.dilation_rate)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class MaxPooling2D(_ChannelsLast, keras.layers.MaxPooling2D):
    """`keras.layers.MaxPooling2D` on `[B, H, W, C]`, without copies on PyTorch."""

    def call(self, inputs):
        is_2x2 = self.pool_size == self.strides == (2, 2) and self.padding == "valid"
        if is_2x2 and runs_on_xla_cpu():
            return _max_pool_2x2(inputs)
        return apply_in_native_format(
            lambda x, data_format: ops.max_pool(
                x, self.pool_size, self.strides, self.padding, data_format
            ),
            inputs,
        )


def _max_pool_2x2(x):
    """Take the maxima of 2 x 2 blocks, with a gradient that is fast on XLA's CPU.

    Among equal pixels, the first one receives the gradient, as on every backend.
    """
    _, height, width, channels = ops.shape(x)
    height, width = height // 2, width // 2
    x = x[:, : 2 * height, : 2 * width]
    x = ops.reshape(x, (-1, height, 2, width, 2, channels))

    def larger(first, second):
        return ops.where(first >= second, first, second)

    rows = [larger(x[:, :, i, :, 0], x[:, :, i, :, 1]) for i in range(2)]
    return larger(*rows)
