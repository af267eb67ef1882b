import keras
from keras import layers

from keras_ctsdg.conventions import CHANNELS
from keras_ctsdg.layers import SpectralConv2D
from keras_ctsdg.layers._conv import Conv2D
from keras_ctsdg.models._initializers import random_normal
from keras_ctsdg.models._input_checks import (
    check_filters,
    check_image_shape,
    check_inputs,
)

# One row a convolution of a branch: stride, width in units of `filters`.
BRANCH = ((2, 1), (2, 2), (2, 4), (1, 8))


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class Discriminator(keras.Model):
    """Judges patches of a picture by its texture and by its structure.

    The texture branch sees the picture, the structure branch an edge map and the
    true gray. A real picture comes with its Canny edge; for a fake one leave
    `edge` out, and the structure branch sees the edge that a small detector,
    trained along, finds in the picture. With the default `filters` it has
    5,531,729 trainable parameters.

    Args:
        image_shape: Tuple `(H, W, 3)` of multiples of 128, or `None` for any.
            Defaults to `(None, None, 3)`.
        filters: Int, the width of a branch's first convolution, a multiple of 4.
            Defaults to `64`.
        dtype: Dtype policy of the layers. Defaults to Keras' global policy.
        name: String, the name of the model. Defaults to `"discriminator"`.
        **kwargs: Further arguments of `keras.Model`.

    Call arguments:
        inputs: Dict of `image` `[B, H, W, 3]` in [-1, 1], `gray` `[B, H, W, 1]` in
            [0, 1] and, for a real picture, `edge` `[B, H, W, 1]`, 0 or 1.
        training: Bool, whether power iterations and batch statistics move on.

    Returns:
        Dict of `patch_logits`, `[B, H / 8 - 2, W / 8 - 2, 2]`, texture's and
        structure's opinion of each patch (above 0: real), and `edge_logits`
        `[B, H, W, 1]`, the detected edge.

    Raises:
        ValueError: If an argument or an input breaks a rule above.

    Example:

    >>> discriminator = Discriminator(filters=8)
    >>> image, gray = np.zeros((1, 128, 128, 3)), np.zeros((1, 128, 128, 1))
    >>> fake = discriminator({"image": image, "gray": gray})
    >>> real = discriminator({"image": image, "gray": gray, "edge": gray})
    >>> real["patch_logits"].shape
    (1, 14, 14, 2)

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
        check_image_shape(image_shape)
        check_filters(filters)

        # === Functional Model ===
        image = keras.Input((*image_shape[:2], CHANNELS["image"]), name="image")
        gray = keras.Input((*image_shape[:2], CHANNELS["gray"]), name="gray")
        edge = keras.Input(
            (*image_shape[:2], CHANNELS["edge"]), name="edge", optional=True
        )
        edge_logits = apply_edge_detector(image, filters // 4, dtype)
        detected = layers.Activation("sigmoid", dtype=dtype, name="detected_edge")(
            edge_logits
        )
        seen = _GivenOrDetected(dtype=dtype, name="seen_edge")(detected, edge)
        structure = layers.Concatenate(dtype=dtype, name="structure_input")(
            [seen, gray]
        )
        opinions = [
            apply_branch(image, filters, dtype, "texture"),
            apply_branch(structure, filters, dtype, "structure"),
        ]
        patch_logits = layers.Concatenate(
            dtype=_logits_dtype(dtype), name="patch_logits"
        )(opinions)
        super().__init__(
            inputs={"image": image, "gray": gray, "edge": edge},
            outputs={"patch_logits": patch_logits, "edge_logits": edge_logits},
            name=name,
            **kwargs,
        )

        # === Config ===
        # A functional model passes `dtype` over.
        self.dtype_policy = keras.dtype_policies.get(dtype)
        self.image_shape = tuple(image_shape)
        self.filters = filters

    def __call__(self, inputs, *args, **kwargs):
        real = isinstance(inputs, dict) and inputs.get("edge") is not None
        check_inputs(inputs, ("image", "gray", "edge") if real else ("image", "gray"))
        inputs = {key: inputs.get(key) for key in ("image", "gray", "edge")}
        return super().__call__(inputs, *args, **kwargs)

    def get_config(self):
        return {
            "image_shape": self.image_shape,
            "filters": self.filters,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


# === Layers ===


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class _GivenOrDetected(layers.Layer):
    """The edge that was given, else the detected one."""

    def call(self, detected, given=None):
        return detected if given is None else given

    def compute_output_shape(self, detected_shape, given_shape=None):
        return detected_shape


def _logits_dtype(dtype):
    """Logits are as precise as the weights, also under mixed precision."""
    return keras.dtype_policies.get(dtype).variable_dtype


def apply_branch(x, filters, dtype, name):
    """Five spectral convolutions; the logits of a patch map, one channel."""
    widths = [(strides, filters * width) for strides, width in BRANCH] + [(1, 1)]
    for i, (strides, width) in enumerate(widths, start=1):
        last = i == len(widths)
        x = SpectralConv2D(
            width,
            4,
            strides=strides,
            padding=1,
            kernel_initializer=random_normal(),
            dtype=_logits_dtype(dtype) if last else dtype,
            name=f"{name}_conv_{i}",
        )(x)
        if not last:
            x = layers.LeakyReLU(0.2, dtype=dtype, name=f"{name}_relu_{i}")(x)
    return x


def apply_edge_detector(image, filters, dtype):
    """A residual block over the picture; the logits of its edge map."""

    def conv(x, width, kernel_size, name):
        # Uniform within 1 / sqrt(fan_in), biases too.
        limit = (x.shape[-1] * kernel_size**2) ** -0.5
        return Conv2D(
            width,
            kernel_size,
            padding="same",
            kernel_initializer=keras.initializers.RandomUniform(-limit, limit),
            bias_initializer=keras.initializers.RandomUniform(-limit, limit),
            dtype=dtype,
            name=f"edge_{name}",
        )(x)

    def norm(x, name):
        return layers.BatchNormalization(
            momentum=0.9, epsilon=1e-5, dtype=dtype, name=f"edge_{name}"
        )(x)

    def relu(x, name):
        return layers.ReLU(dtype=dtype, name=f"edge_{name}")(x)

    x = relu(norm(conv(image, filters, 3, "conv_1"), "norm_1"), "relu_1")
    hidden = relu(norm(conv(x, filters, 3, "conv_2"), "norm_2"), "relu_2")
    hidden = norm(conv(hidden, filters, 3, "conv_3"), "norm_3")
    x = relu(layers.Add(dtype=dtype, name="edge_sum")([x, hidden]), "relu_3")
    return conv(x, 1, 1, "logits")
