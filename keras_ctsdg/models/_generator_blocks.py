"""The blocks of the generator, functions from symbolic tensors to symbolic tensors."""

import keras
from keras import layers

from keras_ctsdg.layers import (
    BidirectionalGatedFusion,
    BilinearUpSampling2D,
    ContextualFeatureAggregation,
    PartialConv2D,
)
from keras_ctsdg.layers._batch_norm import BatchNormalization
from keras_ctsdg.layers._conv import Conv2D
from keras_ctsdg.models._initializers import random_normal

# Kernel size and width, in units of `filters`, of encoder blocks 1 to 7.
ENCODER = ((7, 1), (5, 2), (5, 4), (3, 8), (3, 8), (3, 8), (3, 8))
# Width, in units of `filters`, of decoder blocks 1 to 7, which run from 7 to 1.
DECODER = (1, 1, 2, 4, 8, 8, 8)


class GeneratorBlocks:
    """The blocks of a generator, which share width, upsampling and dtype policy.

    Args:
        filters: Int, the width of the first encoder block.
        upsampling: Str, the alignment of `BilinearUpSampling2D`.
        dtype: Dtype policy of the layers, or its name.
    """

    def __init__(self, filters, upsampling, dtype):
        self.filters = filters
        self.upsampling = upsampling
        self.dtype_policy = keras.dtype_policies.get(dtype)

    def apply_encoder(self, x, validity, stream):
        """Apply the seven encoder blocks of a stream.

        Args:
            x: Tensor `[B, H, W, C]`, the input of the stream.
            validity: Tensor `[B, H, W, 1]`, where 1 marks known pixels.
            stream: `"texture"` or `"structure"`.

        Returns:
            List of pairs (feature, validity): the input, then each block's outputs.
        """
        levels = [(x, validity)]
        for i, (kernel_size, width) in enumerate(ENCODER, start=1):
            name = f"{stream}_encoder_{i}"
            x, validity = self._partial_conv(levels[-1], width, kernel_size, 2, name)
            if i > 1:
                x = self._batch_norm(x, f"{name}_norm")
            x = layers.ReLU(dtype=self.dtype_policy, name=f"{name}_relu")(x)
            levels.append((x, validity))
        return levels

    def apply_decoder(self, bottleneck, levels, stream):
        """Apply the seven decoder blocks of a stream.

        Args:
            bottleneck: Pair (feature, validity), the last level of the other stream.
            levels: List of such pairs, the stream's own levels. Each block doubles
                the size and joins the level of that size.
            stream: `"texture"` or `"structure"`.

        Returns:
            Tensor `[B, H, W, filters]`.
        """
        x, validity = bottleneck
        for i in reversed(range(1, len(DECODER) + 1)):
            name = f"{stream}_decoder_{i}"
            x = self._upsample(x, f"{name}_up")
            validity = layers.UpSampling2D(
                interpolation="nearest",
                data_format="channels_last",
                dtype=self.dtype_policy,
                name=f"{name}_validity",
            )(validity)
            sources = (x, validity, *levels[i - 1])
            x, validity = self._partial_conv(sources, DECODER[i - 1], 3, 1, name)
            x = self._batch_norm(x, f"{name}_norm")
            x = self._leaky_relu(x, f"{name}_relu")
        return x

    def apply_projection(self, x, channels, activation, name):
        """Project the feature of a stream to an image or an edge map.

        Args:
            x: Tensor `[B, H, W, filters]`.
            channels: Int, the channels of the output.
            activation: Str, the activation of the output.
            name: Str, the name of the output and the prefix of the layers' names.

        Returns:
            Tuple of the output and its logits, both `[B, H, W, channels]`.
        """
        hidden = self._conv(x, self.filters // 4, f"{name}_conv_1", use_bias=False)
        hidden = self._batch_norm(hidden, f"{name}_norm_1")
        hidden = layers.ReLU(dtype=self.dtype_policy, name=f"{name}_relu_1")(hidden)
        hidden = self._conv(hidden, self.filters, f"{name}_conv_2", use_bias=False)
        hidden = self._batch_norm(hidden, f"{name}_norm_2")
        x = layers.Add(dtype=self.dtype_policy, name=f"{name}_sum")([x, hidden])
        x = layers.ReLU(dtype=self.dtype_policy, name=f"{name}_relu_2")(x)
        logits = self._conv(x, channels, f"{name}_logits", kernel_size=1)
        return self._output(logits, activation, name), logits

    def apply_refinement(self, texture, structure):
        """Fuse both streams, aggregate contextual features and return the image.

        Args:
            texture: Tensor `[B, H, W, filters]`, the decoded texture stream.
            structure: Tensor `[B, H, W, filters]`, the decoded structure stream.

        Returns:
            Tensor `[B, H, W, 3]` in [-1, 1].
        """
        fused = BidirectionalGatedFusion(
            kernel_initializer=random_normal(),
            dtype=self.dtype_policy,
            name="gated_fusion",
        )((texture, structure))
        # With a stride of 2, `same` would pad one side only.
        x = layers.ZeroPadding2D(
            1,
            data_format="channels_last",
            dtype=self.dtype_policy,
            name="refinement_pad",
        )(fused)
        x = self._conv(x, self.filters, "refinement_down", strides=2, padding="valid")
        reduced = self._leaky_relu(x, "refinement_down_relu")
        aggregated = ContextualFeatureAggregation(
            self.filters,
            kernel_initializer=random_normal(),
            dtype=self.dtype_policy,
            name="contextual_aggregation",
        )((reduced, reduced))
        x = self._concatenate([reduced, aggregated], "refinement_join")
        x = self._conv(x, self.filters, "refinement_merge")
        x = self._leaky_relu(x, "refinement_merge_relu")
        x = self._upsample(x, "refinement_up")
        x = self._concatenate([x, fused], "output_join")
        x = self._conv(x, 3, "output_logits", kernel_size=1)
        return self._output(x, "tanh", "output_image")

    def _partial_conv(self, sources, width, kernel_size, strides, name):
        return PartialConv2D(
            self.filters * width,
            kernel_size,
            strides,
            use_bias=False,
            kernel_initializer=random_normal(),
            dtype=self.dtype_policy,
            name=name,
        )(sources)

    def _conv(self, x, filters, name, kernel_size=3, padding="same", **kwargs):
        return Conv2D(
            filters,
            kernel_size,
            padding=padding,
            kernel_initializer=random_normal(),
            dtype=self.dtype_policy,
            name=name,
            **kwargs,
        )(x)

    def _batch_norm(self, x, name):
        return BatchNormalization(
            momentum=0.9,
            epsilon=1e-5,
            gamma_initializer=random_normal(1.0),
            dtype=self.dtype_policy,
            name=name,
        )(x)

    def _leaky_relu(self, x, name):
        return layers.LeakyReLU(0.2, dtype=self.dtype_policy, name=name)(x)

    def _upsample(self, x, name):
        return BilinearUpSampling2D(
            self.upsampling, dtype=self.dtype_policy, name=name
        )(x)

    def _concatenate(self, features, name):
        return layers.Concatenate(dtype=self.dtype_policy, name=name)(features)

    def _output(self, logits, activation, name):
        # Outputs are as precise as the weights, also under mixed precision.
        return layers.Activation(
            activation, dtype=self.dtype_policy.variable_dtype, name=name
        )(logits)
