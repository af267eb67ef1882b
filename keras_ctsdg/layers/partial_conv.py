import keras
from keras import ops

from keras_ctsdg._checks import check_positive
from keras_ctsdg.layers._conv import convolve
from keras_ctsdg.layers._shape_checks import is_tuple_of_shapes


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class PartialConv2D(keras.layers.Layer):
    """2D convolution over valid pixels only.

    Invalid entries of a window are set to zero, and the result is divided by the share
    of valid entries, so that it does not fade toward a hole. A window without a
    valid entry gives zero. The layer pads with `kernel_size // 2` zeros, which count
    as invalid, on every side.

    All channels of one source can share one validity map; the valid entries of a
    window are then counted on a single channel.

    Args:
        filters: Int, the number of output channels.
        kernel_size: Int, the height and width of the window. Must be odd.
        strides: Int, the stride of the window. Defaults to `1`.
        use_bias: Bool, whether to add a bias where the output is valid. Defaults
            to `True`.
        kernel_initializer: Initializer of the kernel. Defaults to
            `"glorot_uniform"`.
        bias_initializer: Initializer of the bias. Defaults to `"zeros"`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Tuple `(features, validity)`, or `(features, validity, features,
            validity, ...)` with one pair per source, whose channels are concatenated
            in this order. `features` is `[B, H, W, C]`; `validity` is `[B, H, W, 1]`
            or `[B, H, W, C]` in [0, 1], where 1 marks a valid entry. This is the
            opposite of a mask, where 1 marks the hole.

    Returns:
        Tuple of the output, `[B, H', W', filters]`, and its validity,
        `[B, H', W', 1]`: 1 wherever the window has a valid entry, 0 elsewhere. `H'`
        is `H / strides`, rounded up, and `W'` likewise.

    Raises:
        ValueError: If `filters`, `kernel_size` or `strides` is not positive, if
            `kernel_size` is even, or if the inputs are not pairs of the shapes above.

    Example:

    >>> features, validity = np.ones((1, 8, 8, 3)), np.ones((1, 8, 8, 1))
    >>> output, new_validity = PartialConv2D(16, 3, strides=2)((features, validity))
    >>> tuple(output.shape), tuple(new_validity.shape)
    ((1, 4, 4, 16), (1, 4, 4, 1))

    Reference:
        - [Liu et al., 2018](https://arxiv.org/abs/1804.07723), as used by
          [Guo et al., 2021](https://arxiv.org/abs/2108.09760), section 3.1
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                "`kernel_size` must be a positive odd number. "
                f"Received: kernel_size={kernel_size}"
            )
        self.filters = check_positive("filters", filters)
        self.kernel_size = kernel_size
        self.strides = check_positive("strides", strides)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        channels = sum(shape[-1] for shape in self._feature_shapes(input_shape))
        self.kernel = self.add_weight(
            shape=(self.kernel_size, self.kernel_size, channels, self.filters),
            initializer=self.kernel_initializer,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.filters,), initializer=self.bias_initializer, name="bias"
            )

    def call(self, inputs):
        features, validities = inputs[0::2], inputs[1::2]
        output = self._convolve(self._valid_features(features, validities), self.kernel)
        # In half precision, counts would be rounded.
        count = self._convolve(
            self._valid_channels(features, validities),
            ops.ones((self.kernel_size, self.kernel_size, 1, 1), "float32"),
        )
        new_validity = ops.minimum(count, 1.0)
        window = self.kernel_size**2 * self.kernel.shape[2]
        # No count comes near this floor, the smallest normal float16: exporters turn
        # the paper's 1e-8 into 0, and empty windows into NaN.
        ratio = new_validity * window / ops.maximum(count, 2.0**-14)
        output = ops.cast(output, "float32") * ratio
        if self.use_bias:
            output = (output + ops.cast(self.bias, "float32")) * new_validity
        return (
            ops.cast(output, self.compute_dtype),
            ops.cast(new_validity, self.compute_dtype),
        )

    def _valid_features(self, features, validities):
        # In a method of its own, so that the parts are freed before the convolution.
        parts = zip(features, validities, strict=True)
        return ops.concatenate([x * validity for x, validity in parts], axis=-1)

    def _valid_channels(self, features, validities):
        """Count the valid channels of each pixel, float32 `[B, H, W, 1]`."""
        total = 0.0
        for feature, validity in zip(features, validities, strict=True):
            validity = ops.cast(validity, "float32")
            if validity.shape[-1] == 1:
                total = total + validity * float(feature.shape[-1])
            else:
                total = total + ops.sum(validity, axis=-1, keepdims=True)
        return total

    def _convolve(self, x, kernel):
        return convolve(x, kernel, self.strides, padding=self.kernel_size // 2)

    def _feature_shapes(self, input_shape):
        """Check the input shapes and return those of the features."""
        is_nested = is_tuple_of_shapes(input_shape)
        if not is_nested or not input_shape or len(input_shape) % 2:
            raise ValueError(
                "`PartialConv2D` must be called on pairs (features, validity, ...) "
                f"of tensors. Received: input shape {input_shape}"
            )
        features, validities = input_shape[0::2], input_shape[1::2]
        for feature, validity in zip(features, validities, strict=True):
            if len(feature) != 4 or len(validity) != 4 or feature[-1] is None:
                raise ValueError(
                    "`PartialConv2D` expects features [B, H, W, C] with a known "
                    "number of channels and validity [B, H, W, 1]. Received: "
                    f"features.shape={feature}, validity.shape={validity}"
                )
            if validity[-1] not in (1, feature[-1]) or any(
                None not in sizes and sizes[0] != sizes[1]
                for sizes in zip(feature[:3], validity[:3], strict=True)
            ):
                raise ValueError(
                    "`validity` must have the height and width of the features, and "
                    "one channel or as many as the features. Received: "
                    f"features.shape={feature}, validity.shape={validity}"
                )
        return features

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = self._feature_shapes(input_shape)[0]
        size = tuple(
            None if length is None else (length - 1) // self.strides + 1
            for length in (height, width)
        )
        return (batch, *size, self.filters), (batch, *size, 1)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
