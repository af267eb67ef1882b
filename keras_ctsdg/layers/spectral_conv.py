import keras
import numpy as np
from keras import ops

from keras_ctsdg._checks import check_positive
from keras_ctsdg.layers._conv import convolve
from keras_ctsdg.layers._shape_checks import check_feature_maps


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class SpectralConv2D(keras.layers.Layer):
    """2D convolution with a kernel of spectral norm 1.

    The raw kernel is trainable and is divided by `sigma = u' W v` on every call, with
    gradients flowing through `sigma`; W is the kernel reshaped to
    `[filters, C * kernel_size ** 2]`. A call in training mode first refines u and v by
    one power iteration; in inference mode they are not updated.
    `keras.layers.SpectralNormalization` overwrites its kernel instead, which trains
    differently.

    Args:
        filters: Int, the number of output channels.
        kernel_size: Int, the height and width of the window.
        strides: Int, the stride of the window. Defaults to `1`.
        padding: Int, the number of zeros on every side. Defaults to `0`.
        kernel_initializer: Initializer of the raw kernel. Defaults to
            `"glorot_uniform"`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor `[B, H, W, C]`.
        training: Bool, whether to run a power iteration first. Defaults to `False`.

    Returns:
        Tensor `[B, H', W', filters]`, where `H'` is
        `(H + 2 * padding - kernel_size) // strides + 1` and `W'` likewise.

    Raises:
        ValueError: If `filters`, `kernel_size` or `strides` is not positive, if
            `padding` is negative, or if the input is not `[B, H, W, C]`.

    Example:

    >>> layer = SpectralConv2D(16, 4, strides=2, padding=1)
    >>> output = layer(np.ones((1, 8, 8, 3)), training=True)
    >>> tuple(output.shape)
    (1, 4, 4, 16)

    Reference:
        - [Miyato et al., 2018](https://arxiv.org/abs/1802.05957), as used by
          [Guo et al., 2021](https://arxiv.org/abs/2108.09760), section 3.4
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding=0,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = check_positive("filters", filters)
        self.kernel_size = check_positive("kernel_size", kernel_size)
        self.strides = check_positive("strides", strides)
        if padding < 0:
            raise ValueError(
                f"`padding` must not be negative. Received: padding={padding}"
            )
        self.padding = padding
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        check_feature_maps(self, (input_shape,), ("inputs",))
        kernel_shape = (self.kernel_size, self.kernel_size, input_shape[-1])
        # Without autocast, because a norm in half precision would be off by percents.
        self.kernel = self.add_weight(
            shape=(*kernel_shape, self.filters),
            initializer=self.kernel_initializer,
            autocast=False,
            name="kernel",
        )
        self.u = self._add_vector(self.filters, "u", _random_unit_vector)
        # With a second random vector, sigma could start near 0 or be negative.
        self.v = self._add_vector(
            self.kernel_size**2 * input_shape[-1],
            "v",
            lambda shape, dtype=None: _normalize(ops.matmul(self.u, self._matrix())),
        )

    def _add_vector(self, length, name, initializer):
        return self.add_weight(
            shape=(length,),
            initializer=initializer,
            trainable=False,
            autocast=False,
            name=name,
        )

    def _matrix(self):
        matrix = ops.transpose(self.kernel, (3, 2, 0, 1))
        return ops.reshape(matrix, (self.filters, -1))

    def call(self, inputs, training=False):
        matrix = self._matrix()
        # A frozen layer keeps its vectors, as its kernel.
        if training and self.trainable:
            constant = ops.stop_gradient(matrix)
            v = _normalize(ops.matmul(self.u, constant))
            u = _normalize(ops.matmul(constant, v))
            self.u.assign(u)
            self.v.assign(v)
        else:
            u, v = ops.convert_to_tensor(self.u), ops.convert_to_tensor(self.v)
        sigma = ops.sum(u * ops.matmul(matrix, v))
        kernel = ops.cast(self.kernel / sigma, self.compute_dtype)
        return convolve(inputs, kernel, self.strides, self.padding)

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        size = tuple(
            None
            if length is None
            else (length + 2 * self.padding - self.kernel_size) // self.strides + 1
            for length in (height, width)
        )
        return (batch, *size, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def _normalize(vector):
    return vector / ops.maximum(ops.norm(vector), 1e-12)


def _random_unit_vector(shape, dtype=None):
    # By NumPy, so that a seed gives the same vector on every backend.
    numbers = np.random.standard_normal(shape)
    return _normalize(ops.convert_to_tensor(numbers, dtype))
