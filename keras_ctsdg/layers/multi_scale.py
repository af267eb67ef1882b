import keras
from keras import ops

from keras_ctsdg._checks import check_positive
from keras_ctsdg.layers._conv import Conv2D
from keras_ctsdg.layers._ops import add_up
from keras_ctsdg.layers._shape_checks import check_feature_maps


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class MultiScaleFeatureAggregation(keras.layers.Layer):
    """Weighted sum of dilated convolutions, with weights for each pixel.

    Each branch is a 3 x 3 convolution with its own dilation rate and a ReLU. A 3 x 3
    and a 1 x 1 convolution, each with a ReLU, and a softmax over the branches compute
    one weight per pixel and branch. The output is the weighted sum of the branches.

    Args:
        filters: Int, the number of output channels.
        dilation_rates: Tuple of ints, one per branch. Defaults to `(1, 2, 4, 8)`.
        kernel_initializer: Initializer of the kernels. Defaults to
            `"glorot_uniform"`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor `[B, H, W, C]`.

    Returns:
        Tensor `[B, H, W, filters]`, not negative.

    Raises:
        ValueError: If `filters` or a dilation rate is not positive, if there is no
            dilation rate, or if the input is not `[B, H, W, C]`.

    Example:

    >>> output = MultiScaleFeatureAggregation(16)(np.ones((1, 8, 8, 16)))
    >>> tuple(output.shape)
    (1, 8, 8, 16)

    Reference:
        - [Guo et al., 2021](https://arxiv.org/abs/2108.09760), section 3.3
    """

    def __init__(
        self,
        filters,
        dilation_rates=(1, 2, 4, 8),
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not dilation_rates or min(dilation_rates) < 1:
            raise ValueError(
                "`dilation_rates` must be a non-empty tuple of positive ints. "
                f"Received: dilation_rates={dilation_rates}"
            )
        self.filters = check_positive("filters", filters)
        self.dilation_rates = tuple(dilation_rates)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.branches = [
            self._convolution(filters, 3, f"dilated_{i}", rate)
            for i, rate in enumerate(self.dilation_rates)
        ]
        self.weight_hidden = self._convolution(filters, 3, "weight_hidden")
        self.weight_scores = self._convolution(
            len(self.dilation_rates), 1, "weight_scores"
        )

    def _convolution(self, filters, kernel_size, name, dilation_rate=1):
        return Conv2D(
            filters,
            kernel_size,
            padding="same",
            dilation_rate=dilation_rate,
            activation="relu",
            # Without a clone, all branches would start with the same values.
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )

    def build(self, input_shape):
        check_feature_maps(self, (input_shape,), ("inputs",))
        for layer in (*self.branches, self.weight_hidden):
            layer.build(input_shape)
        self.weight_scores.build((*input_shape[:-1], self.filters))

    def call(self, inputs):
        weights = ops.softmax(self.weight_scores(self.weight_hidden(inputs)), axis=-1)
        return add_up(
            branch(inputs) * weights[..., i : i + 1]
            for i, branch in enumerate(self.branches)
        )

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "dilation_rates": self.dilation_rates,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
