import keras
from keras import layers

from keras_ctsdg import _keras_private
from keras_ctsdg.conventions import CHANNELS
from keras_ctsdg.layers import SpectralConv2D
from keras_ctsdg.layers._batch_norm import BatchNormalization
from keras_ctsdg.layers._conv import Conv2D
from keras_ctsdg.models._frozen_layers import (
    create_with_frozen_layers,
    freeze_layers,
    frozen_layers_config,
)
from keras_ctsdg.models._initializers import NumPyUniform, random_normal
from keras_ctsdg.models._input_checks import (
    check_filters,
    check_image_shape,
    check_inputs,
    check_model_arguments,
)

# Stride and width, in units of `filters`, of convolutions 1 to 4 of a branch.
BRANCH = ((2, 1), (2, 2), (2, 4), (1, 8))


@_keras_private.name_package
@keras.saving.register_keras_serializable(package="keras_ctsdg")
class Discriminator(keras.Model):
    """The two-stream discriminator, which tells real from filled images by patches.

    The texture branch sees the image; the structure branch sees an edge map and the
    grayscale of the target image. A real image comes with its Canny edge. For a filled
    image leave `edge` out: the structure branch then sees the edge that a small
    detector, which is trained along with the branches, finds in the image. With the
    default `filters` there are 5,531,729 trainable parameters.

    Args:
        image_shape: Tuple `(H, W, 3)`, where H and W are multiples of 128, or `None`
            for any size. Defaults to `(None, None, 3)`.
        filters: Int, the width of the first convolution of a branch. Must be a
            multiple of 4. Defaults to `64`.
        dtype: Dtype policy of the layers. Defaults to Keras' global policy. The
            patch logits are as precise as the weights, also under mixed precision.
        name: Str, the name of the model. Defaults to `"discriminator"`.
        **kwargs: Further arguments of a functional `keras.Model`: `trainable`.

    Call arguments:
        inputs: Dict of `image` `[B, H, W, 3]` in [-1, 1], `gray` `[B, H, W, 1]` in
            [0, 1] and, for a real image, `edge` `[B, H, W, 1]`, 0 or 1. H and W are
            multiples of 128.
        training: Bool, whether power iterations and the statistics of batch
            normalization are updated. Defaults to `False`.

    Returns:
        Dict of `patch_logits`, `[B, H / 8 - 2, W / 8 - 2, 2]`, the scores that the
        texture and the structure branch give each patch (above 0 for real), and
        `edge_logits` `[B, H, W, 1]`, the logits of the detected edge.

    Raises:
        ValueError: If an argument or an input breaks a rule above.

    Example:

    >>> discriminator = Discriminator(image_shape=(256, 256, 3), filters=8)
    >>> discriminator.output["patch_logits"].shape
    (None, 30, 30, 2)

    ```python
    real = discriminator({"image": image, "gray": gray, "edge": edge})
    fake = discriminator({"image": filled, "gray": gray})
    ```

    Reference:
        - [Guo et al., 2021](https://arxiv.org/abs/2108.09760), section 3.4
    """

    def __init__(
        self,
        image_shape=(None, None, 3),
        filters=64,
        dtype=None,
        name="discriminator",
        **kwargs,
    ):
        check_model_arguments(kwargs)
        check_image_shape(image_shape)
        filters = check_filters(filters)

        # === Layers ===
        detect = layers.Activation("sigmoid", dtype=dtype, name="detected_edge")
        select = _GivenOrDetected(dtype=dtype, name="seen_edge")
        join_structure = layers.Concatenate(dtype=dtype, name="structure_input")
        join_logits = layers.Concatenate(
            dtype=_variable_dtype(dtype), name="patch_logits"
        )

        # === Functional Model ===
        image = keras.Input((*image_shape[:2], CHANNELS["image"]), name="image")
        gray = keras.Input((*image_shape[:2], CHANNELS["gray"]), name="gray")
        edge = keras.Input(
            (*image_shape[:2], CHANNELS["edge"]), name="edge", optional=True
        )
        edge_logits = apply_edge_detector(image, filters // 4, dtype)
        structure = join_structure([select(detect(edge_logits), edge), gray])
        patch_logits = join_logits(
            [
                apply_branch(image, filters, dtype, "texture"),
                apply_branch(structure, filters, dtype, "structure"),
            ]
        )
        super().__init__(
            inputs={"image": image, "gray": gray, "edge": edge},
            outputs={"patch_logits": patch_logits, "edge_logits": edge_logits},
            name=name,
            **kwargs,
        )

        # === Config ===
        # A functional model ignores its `dtype` argument.
        self.dtype_policy = keras.dtype_policies.get(dtype)
        self.image_shape = tuple(image_shape)
        self.filters = filters
        freeze_layers(self)

    def __call__(self, inputs, *args, **kwargs):
        is_real = isinstance(inputs, dict) and inputs.get("edge") is not None
        check_inputs(
            inputs, ("image", "gray", "edge") if is_real else ("image", "gray")
        )
        inputs = {key: inputs.get(key) for key in ("image", "gray", "edge")}
        return super().__call__(inputs, *args, **kwargs)

    def get_config(self):
        return {
            "image_shape": self.image_shape,
            "filters": self.filters,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
            **frozen_layers_config(self),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return create_with_frozen_layers(cls, config)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class _GivenOrDetected(layers.Layer):
    """Return the given edge, or the detected one if none is given."""

    def call(self, detected, given=None):
        return detected if given is None else given

    def compute_output_shape(self, detected_shape, given_shape=None):
        return detected_shape


def _variable_dtype(dtype):
    """Return the dtype of the weights, in which patch logits are computed, too."""
    return keras.dtype_policies.get(dtype).variable_dtype


def apply_branch(x, filters, dtype, name):
    """Apply the five spectral convolutions of a branch.

    Args:
        x: Tensor `[B, H, W, C]`.
        filters: Int, the width of the first convolution.
        dtype: Dtype policy of the layers.
        name: Str, the prefix of the layers' names.

    Returns:
        Tensor `[B, H / 8 - 2, W / 8 - 2, 1]`, the logits of the patches.
    """
    blocks = [(strides, filters * width) for strides, width in BRANCH] + [(1, 1)]
    for i, (strides, width) in enumerate(blocks, start=1):
        is_last = i == len(blocks)
        x = SpectralConv2D(
            width,
            4,
            strides=strides,
            padding=1,
            kernel_initializer=random_normal(),
            dtype=_variable_dtype(dtype) if is_last else dtype,
            name=f"{name}_conv_{i}",
        )(x)
        if not is_last:
            x = layers.LeakyReLU(0.2, dtype=dtype, name=f"{name}_relu_{i}")(x)
    return x


def apply_edge_detector(image, filters, dtype):
    """Apply the residual block that detects edges.

    Args:
        image: Tensor `[B, H, W, 3]` in [-1, 1].
        filters: Int, the width of the block.
        dtype: Dtype policy of the layers.

    Returns:
        Tensor `[B, H, W, 1]`, the logits of the edge map.
    """

    def conv(x, width, kernel_size, name):
        # PyTorch's default, for kernels and biases: uniform within 1 / sqrt(fan_in).
        limit = (x.shape[-1] * kernel_size**2) ** -0.5
        return Conv2D(
            width,
            kernel_size,
            padding="same",
            kernel_initializer=NumPyUniform(-limit, limit),
            bias_initializer=NumPyUniform(-limit, limit),
            dtype=dtype,
            name=f"edge_{name}",
        )(x)

    def norm(x, name):
        return BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype=dtype, name=f"edge_{name}"
        )(x)

    def relu(x, name):
        return layers.ReLU(dtype=dtype, name=f"edge_{name}")(x)

    x = relu(norm(conv(image, filters, 3, "conv_1"), "norm_1"), "relu_1")
    hidden = relu(norm(conv(x, filters, 3, "conv_2"), "norm_2"), "relu_2")
    hidden = norm(conv(hidden, filters, 3, "conv_3"), "norm_3")
    x = relu(layers.Add(dtype=dtype, name="edge_sum")([x, hidden]), "relu_3")
    return conv(x, 1, 1, "logits")
