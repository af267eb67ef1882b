import keras
from keras import ops

from keras_ctsdg.layers._conv import Conv2D
from keras_ctsdg.layers._shape_checks import check_same_shape


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class BidirectionalGatedFusion(keras.layers.Layer):
    """Bidirectional gated feature fusion (Bi-GFF) of texture and structure features.

    Two gates, each a 3 x 3 convolution over both features and a sigmoid, control how
    much of one stream is added to the other:

    - `texture' = texture + texture_gamma * (structure_gate * structure)`
    - `structure' = structure + structure_gamma * (texture_gate * texture')`

    Both gammas are trainable scalars that start at 0, so the layer starts as a plain
    concatenation.

    Args:
        kernel_initializer: Initializer of the two gates' kernels. Defaults to
            `"glorot_uniform"`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        inputs: Tuple `(texture, structure)` of two tensors `[B, H, W, C]`.

    Returns:
        Tensor `[B, H, W, 2 * C]`, the refined texture, then the refined structure.

    Raises:
        ValueError: If the inputs are not two feature maps of the same shape.

    Example:

    >>> texture, structure = np.ones((1, 8, 8, 16)), np.ones((1, 8, 8, 16))
    >>> output = BidirectionalGatedFusion()((texture, structure))
    >>> tuple(output.shape)
    (1, 8, 8, 32)

    Reference:
        - [Guo et al., 2021](https://arxiv.org/abs/2108.09760), section 3.2
    """

    def __init__(self, kernel_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        check_same_shape(self, input_shape, ("texture", "structure"))
        channels = input_shape[0][-1]
        both = (*input_shape[0][:-1], 2 * channels)
        self.structure_gate = self._build_gate(channels, both, "structure_gate")
        self.texture_gate = self._build_gate(channels, both, "texture_gate")
        self.structure_gamma = self.add_weight(
            shape=(), initializer="zeros", name="structure_gamma"
        )
        self.texture_gamma = self.add_weight(
            shape=(), initializer="zeros", name="texture_gamma"
        )

    def _build_gate(self, channels, input_shape, name):
        gate = Conv2D(
            channels,
            3,
            padding="same",
            activation="sigmoid",
            # Without a clone, both gates would start with the same values.
            kernel_initializer=self.kernel_initializer.clone(),
            dtype=self.dtype_policy,
            name=name,
        )
        gate.build(input_shape)
        return gate

    def call(self, inputs):
        texture, structure = inputs
        both = ops.concatenate([texture, structure], axis=-1)
        texture = texture + self.texture_gamma * (self.structure_gate(both) * structure)
        gate = self.texture_gate(both)
        # For a large image, this tensor takes half a gigabyte.
        del both
        structure = structure + self.structure_gamma * (gate * texture)
        del gate
        return ops.concatenate([texture, structure], axis=-1)

    def compute_output_shape(self, input_shape):
        texture = input_shape[0]
        return (*texture[:-1], 2 * texture[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
