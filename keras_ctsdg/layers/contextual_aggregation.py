import keras

from keras_ctsdg.layers.multi_scale import MultiScaleFeatureAggregation
from keras_ctsdg.layers.region_affinity import RegionAffinityLearning


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class ContextualFeatureAggregation(keras.layers.Layer):
    """Contextual feature aggregation (CFA): region affinity, then multi-scale mixing.

    Args:
        filters: Int, the number of output channels.
        dilation_rates: Tuple of ints, the dilation rates that
            `MultiScaleFeatureAggregation` mixes. Defaults to `(1, 2, 4, 8)`.
        softmax_scale: Float, the factor by which `RegionAffinityLearning` multiplies
            similarities. Defaults to `10.0`.
        kernel_initializer: Initializer of the kernels. Defaults to
            `"glorot_uniform"`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Tuple `(background, foreground)` of two tensors `[B, H, W, C]`, as in
            `RegionAffinityLearning`.
        training: Bool, whether gradients will be computed. It selects the faster
            implementation and does not change the result. Defaults to `False`.

    Returns:
        Tensor `[B, H, W, filters]`.

    Raises:
        ValueError: If `filters` or a dilation rate is not positive, or if the inputs
            are not two feature maps of the same shape.

    Example:

    >>> features = np.ones((1, 16, 16, 8))
    >>> output = ContextualFeatureAggregation(8)((features, features))
    >>> tuple(output.shape)
    (1, 16, 16, 8)

    Reference:
        - [Guo et al., 2021](https://arxiv.org/abs/2108.09760), section 3.3
    """

    def __init__(
        self,
        filters,
        dilation_rates=(1, 2, 4, 8),
        softmax_scale=10.0,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.region_affinity = RegionAffinityLearning(
            softmax_scale, dtype=self.dtype_policy, name="region_affinity"
        )
        self.multi_scale = MultiScaleFeatureAggregation(
            filters,
            dilation_rates,
            kernel_initializer,
            dtype=self.dtype_policy,
            name="multi_scale",
        )

    def build(self, input_shape):
        self.region_affinity.build(input_shape)
        self.multi_scale.build(input_shape[0])

    def call(self, inputs, training=False):
        return self.multi_scale(self.region_affinity(inputs, training=training))

    def compute_output_shape(self, input_shape):
        return self.multi_scale.compute_output_shape(input_shape[0])

    def get_config(self):
        multi_scale = self.multi_scale.get_config()
        return {
            **super().get_config(),
            "filters": multi_scale["filters"],
            "dilation_rates": multi_scale["dilation_rates"],
            "softmax_scale": self.region_affinity.softmax_scale,
            "kernel_initializer": multi_scale["kernel_initializer"],
        }
