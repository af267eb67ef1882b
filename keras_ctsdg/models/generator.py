import keras
from keras import layers

from keras_ctsdg.conventions import CHANNELS
from keras_ctsdg.layers import (
    BidirectionalGatedFusion,
    BilinearUpSampling2D,
    ContextualFeatureAggregation,
    PartialConv2D,
    RegionAffinityLearning,
)
from keras_ctsdg.layers._conv import Conv2D
from keras_ctsdg.models._initializers import random_normal
from keras_ctsdg.models._input_checks import (
    check_filters,
    check_image_shape,
    check_inputs,
)
from keras_ctsdg.models._memory_efficient import MemoryEfficientFunctional

# One row an encoder block: kernel size, width in units of `filters`.
ENCODER = ((7, 1), (5, 2), (5, 4), (3, 8), (3, 8), (3, 8), (3, 8))
# The width of decoder blocks 1 to 7; they run from the last to the first.
DECODER = (1, 1, 2, 4, 8, 8, 8)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class Generator(MemoryEfficientFunctional):
    """The two coupled streams that fill a hole.

    A texture stream and a structure stream, U-shaped networks of partial
    convolutions, exchange their bottlenecks. Gated fusion joins them; contextual
    feature aggregation refines the result. With the default `filters` it has
    52,147,789 trainable parameters.

    Args:
        image_shape: Tuple `(H, W, 3)` of multiples of 128, or `None` for any.
            Defaults to `(None, None, 3)`.
        filters: Int, the width of the first block; the encoders are `filters * (1,
            2, 4, 8, 8, 8, 8)` wide. Must be a multiple of 4. Defaults to `64`.
        upsampling: `"half_pixel"` (the authors' code) or `"align_corners"` (its
            MindSpore port); weights trained with one do not fit the other.
            Defaults to `"half_pixel"`.
        dtype: Dtype policy of the layers. Defaults to Keras' global policy.
        name: String, the name of the model. Defaults to `"generator"`.
        **kwargs: Further arguments of `keras.Model`.

    Call arguments:
        inputs: Dict of `image` `[B, H, W, 3]` in [-1, 1], `gray` `[B, H, W, 1]` in
            [0, 1], `edge` `[B, H, W, 1]`, 0 or 1, and `mask` `[B, H, W, 1]`, where
            1 marks the hole. What lies in the hole is not looked at.

    Returns:
        Dict of `image` `[B, H, W, 3]` in [-1, 1], the filled picture, and the two
        streams' own predictions: `projected_image` `[B, H, W, 3]` in [-1, 1] and
        `projected_edge` `[B, H, W, 1]` in [0, 1].

    Raises:
        ValueError: If an argument or an input breaks a rule above.

    Example:

    >>> generator = Generator(filters=8)
    >>> one, three = np.zeros((1, 128, 128, 1)), np.zeros((1, 128, 128, 3))
    >>> inputs = {"image": three, "gray": one, "edge": one, "mask": one}
    >>> generator(inputs)["image"].shape
    (1, 128, 128, 3)

    Reference:
        - [Guo et al., 2021](https://arxiv.org/abs/2108.09760), section 3
    """

    def __init__(
        self,
        image_shape=(None, None, 3),
        filters=64,
        upsampling="half_pixel",
        dtype=None,
        name="generator",
        **kwargs,
    ):
        check_image_shape(image_shape)
        check_filters(filters)
        blocks = _Blocks(filters, upsampling, dtype)

        # === Functional Model ===
        inputs = {
            key: keras.Input((*image_shape[:2], channels), name=key)
            for key, channels in CHANNELS.items()
        }
        validity = layers.Rescaling(-1.0, 1.0, dtype=dtype, name="validity")(
            inputs["mask"]
        )
        structure = layers.Concatenate(dtype=dtype, name="structure_input")(
            [inputs["edge"], inputs["gray"]]
        )
        texture_levels = blocks.encoder(inputs["image"], validity, "texture")
        structure_levels = blocks.encoder(structure, validity, "structure")
        # The streams exchange their bottlenecks: each is decoded by the other.
        texture = blocks.decoder(structure_levels[-1], texture_levels, "texture")
        structure = blocks.decoder(texture_levels[-1], structure_levels, "structure")
        projected_image, _ = blocks.projection(texture, 3, "tanh", "projected_image")
        projected_edge, edge_logits = blocks.projection(
            structure, 1, "sigmoid", "projected_edge"
        )
        outputs = {
            "image": blocks.refinement(texture, structure),
            "projected_image": projected_image,
            "projected_edge": projected_edge,
        }
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)

        # === Config ===
        self.dtype_policy = blocks.dtype  # A functional model passes `dtype` over.
        self.image_shape = tuple(image_shape)
        self.filters = filters
        self.upsampling = upsampling
        with_logits = MemoryEfficientFunctional(
            inputs, {**outputs, "projected_edge_logits": edge_logits}
        )
        image_alone = MemoryEfficientFunctional(inputs, outputs["image"])
        # In closures, so that Keras tracks and saves every layer once.
        self._with_logits = lambda x, training: with_logits(x, training=training)
        self._image_alone = lambda x, training: image_alone(x, training=training)

    def __call__(self, inputs, *args, **kwargs):
        check_inputs(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def call_with_logits(self, inputs, training=False):
        """Runs the network, keeping the logits that the edge loss is taken from.

        Args:
            inputs: Dict of tensors, as for a plain call.
            training: Bool, whether batch normalization uses the batch. Defaults to
                `False`.

        Returns:
            The dict of a plain call, and `projected_edge_logits` `[B, H, W, 1]`.
        """
        return self._call_part(self._with_logits, inputs, training)

    def call_for_image(self, inputs, training=False):
        """Runs what the picture needs of the network, and no projection.

        Args:
            inputs: Dict of tensors, as for a plain call.
            training: Bool, whether batch normalization uses the batch. Defaults to
                `False`.

        Returns:
            Tensor `[B, H, W, 3]`: `image` of a plain call.
        """
        return self._call_part(self._image_alone, inputs, training)

    def estimate_memory(self, height, width):
        """Estimate the memory that a call for one image takes.

        Measured on a CPU, and the same on every backend, so that all of them fill an
        image alike.

        Args:
            height: Int, a multiple of 128.
            width: Int, a multiple of 128.

        Returns:
            Float, gigabytes.
        """
        features = 12 * self.filters * height * width
        # The attention sees features of half the size of the image.
        scores = 8 * RegionAffinityLearning.scores_in_memory(height // 2, width // 2)
        return 4 * (features + scores) / 1e9

    def _call_part(self, part, inputs, training):
        check_inputs(inputs)
        return part({key: inputs[key] for key in CHANNELS}, training)

    def get_config(self):
        return {
            "image_shape": self.image_shape,
            "filters": self.filters,
            "upsampling": self.upsampling,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


# === Layers ===


class _Blocks:
    """The parts of the generator, sharing width, upsampling and dtype policy."""

    def __init__(self, filters, upsampling, dtype):
        self.filters = filters
        self.upsampling = upsampling
        self.dtype = keras.dtype_policies.get(dtype)

    def encoder(self, x, validity, stream):
        """The stream's input, then the seven blocks: pairs (feature, validity)."""
        levels = [(x, validity)]
        for i, (kernel_size, width) in enumerate(ENCODER, start=1):
            name = f"{stream}_encoder_{i}"
            x, validity = self.partial_conv(levels[-1], width, kernel_size, 2, name)
            if i > 1:
                x = self.batch_norm(x, f"{name}_norm")
            x = layers.ReLU(dtype=self.dtype, name=f"{name}_relu")(x)
            levels.append((x, validity))
        return levels

    def decoder(self, bottleneck, levels, stream):
        """Up from the bottleneck, each block joined by the level it reaches."""
        x, validity = bottleneck
        for i in reversed(range(1, len(ENCODER) + 1)):
            name = f"{stream}_decoder_{i}"
            x = self.upsample(x, f"{name}_up")
            validity = layers.UpSampling2D(
                interpolation="nearest",
                data_format="channels_last",
                dtype=self.dtype,
                name=f"{name}_validity",
            )(validity)
            sources = (x, validity, *levels[i - 1])
            x, validity = self.partial_conv(sources, DECODER[i - 1], 3, 1, name)
            x = self.batch_norm(x, f"{name}_norm")
            x = self.leaky_relu(x, f"{name}_relu")
        return x

    def projection(self, x, channels, activation, name):
        """A residual bottleneck and the activation: output and its logits."""
        hidden = self.conv(x, self.filters // 4, f"{name}_conv_1", use_bias=False)
        hidden = self.batch_norm(hidden, f"{name}_norm_1")
        hidden = layers.ReLU(dtype=self.dtype, name=f"{name}_relu_1")(hidden)
        hidden = self.conv(hidden, self.filters, f"{name}_conv_2", use_bias=False)
        hidden = self.batch_norm(hidden, f"{name}_norm_2")
        x = layers.Add(dtype=self.dtype, name=f"{name}_sum")([x, hidden])
        x = layers.ReLU(dtype=self.dtype, name=f"{name}_relu_2")(x)
        logits = self.conv(x, channels, f"{name}_logits", kernel_size=1)
        return self.activation(logits, activation, name), logits

    def refinement(self, texture, structure):
        """Gated fusion, contextual aggregation, and the picture."""
        fused = BidirectionalGatedFusion(
            kernel_initializer=random_normal(), dtype=self.dtype, name="gated_fusion"
        )((texture, structure))
        # Padded here: `same` pads a stride of 2 on one side only.
        x = layers.ZeroPadding2D(
            1, data_format="channels_last", dtype=self.dtype, name="refinement_pad"
        )(fused)
        x = self.conv(x, self.filters, "refinement_down", strides=2, padding="valid")
        reduced = self.leaky_relu(x, "refinement_down_relu")
        aggregated = ContextualFeatureAggregation(
            self.filters,
            kernel_initializer=random_normal(),
            dtype=self.dtype,
            name="contextual_aggregation",
        )((reduced, reduced))
        x = layers.Concatenate(dtype=self.dtype, name="refinement_join")(
            [reduced, aggregated]
        )
        x = self.conv(x, self.filters, "refinement_merge")
        x = self.leaky_relu(x, "refinement_merge_relu")
        x = self.upsample(x, "refinement_up")
        x = layers.Concatenate(dtype=self.dtype, name="output_join")([x, fused])
        x = self.conv(x, 3, "output_logits", kernel_size=1)
        return self.activation(x, "tanh", "output_image")

    def partial_conv(self, sources, width, kernel_size, strides, name):
        return PartialConv2D(
            self.filters * width,
            kernel_size,
            strides,
            use_bias=False,
            kernel_initializer=random_normal(),
            dtype=self.dtype,
            name=name,
        )(sources)

    def conv(self, x, filters, name, kernel_size=3, padding="same", **kwargs):
        return Conv2D(
            filters,
            kernel_size,
            padding=padding,
            kernel_initializer=random_normal(),
            dtype=self.dtype,
            name=name,
            **kwargs,
        )(x)

    def batch_norm(self, x, name):
        return layers.BatchNormalization(
            momentum=0.9,
            epsilon=1e-5,
            gamma_initializer=random_normal(1.0),
            dtype=self.dtype,
            name=name,
        )(x)

    def leaky_relu(self, x, name):
        return layers.LeakyReLU(0.2, dtype=self.dtype, name=name)(x)

    def upsample(self, x, name):
        return BilinearUpSampling2D(self.upsampling, dtype=self.dtype, name=name)(x)

    def activation(self, x, activation, name):
        # Pictures are as precise as the weights, also under mixed precision.
        return layers.Activation(
            activation, dtype=self.dtype.variable_dtype, name=name
        )(x)
