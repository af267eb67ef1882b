import math

import keras
from keras import layers, ops

from keras_ctsdg import _keras_private
from keras_ctsdg._checks import check_choice
from keras_ctsdg.checkpoints.assign import assign_weights
from keras_ctsdg.checkpoints.vgg16 import match_vgg16, read_vgg16
from keras_ctsdg.conventions import image_to_levels, image_to_unit
from keras_ctsdg.layers._conv import Conv2D, MaxPooling2D
from keras_ctsdg.models._initializers import random_normal
from keras_ctsdg.models._input_checks import check_model_arguments

# Width and number of convolutions of blocks 1 to 3, which the paper's losses use.
BLOCKS = ((64, 2), (128, 2), (256, 3))
SCALINGS = ("as_is", "unit", "caffe")
# ImageNet's mean of blue, green and red in [0, 255].
CAFFE_MEAN = (103.939, 116.779, 123.68)


@_keras_private.name_package
@keras.saving.register_keras_serializable(package="keras_ctsdg")
class VGG16Features(keras.Model):
    """VGG16 up to its third pooling, for the perceptual and the style loss.

    The network is frozen. Torchvision's weights see images in [-1, 1] as they are,
    without ImageNet's mean and scale, because the loss weights were tuned that way.
    Other weights see the value range that their own network was trained on.

    Args:
        weights: One of

            - `"imagenet"`: KerasHub's preset `vgg_16_imagenet`, a conversion of
              torchvision's weights, which is downloaded once;
            - the path of torchvision's file (`.pth`; needs the extra `torch`) or of
              a Keras file (`.h5`, such as that of `keras.applications`, or
              `.keras`);
            - a model of KerasHub, KerasCV or `keras.applications`, or another
              `VGG16Features`;
            - `None`: random weights, to be replaced.

            Defaults to `"imagenet"`.
        input_scaling: The value range of the images that the weights see: `"as_is"`
            for [-1, 1]; `"unit"` for [0, 1]; `"caffe"` for blue, green and red in
            [0, 255] minus ImageNet's mean; or `"auto"`, which depends on the source
            of the weights: `"unit"` for KerasCV, `"as_is"` for torchvision, KerasHub
            and `None`, and `"caffe"` for other Keras models and `.h5` files. Another
            `VGG16Features` passes on its own. Defaults to `"auto"`.
        dtype: Dtype policy of the layers. Defaults to Keras' global policy.
        name: Str, the name of the model. Defaults to `"vgg16_features"`.
        **kwargs: Further arguments of a functional `keras.Model`: `trainable`.

    Call arguments:
        inputs: Tensor `[B, H, W, 3]` in [-1, 1].

    Returns:
        List of the outputs of the three poolings: `[B, H / 2, W / 2, 64]`,
        `[B, H / 4, W / 4, 128]` and `[B, H / 8, W / 8, 256]`.

    Raises:
        ValueError: If an argument is none of the above, or the weights do not fit.
        OSError: If the ImageNet weights are requested and cannot be downloaded.

    Example:

    >>> features = VGG16Features(weights=None)(np.zeros((1, 128, 128, 3)))
    >>> [feature.shape[-1] for feature in features]
    [64, 128, 256]

    Reference:
        - [Simonyan and Zisserman, 2014](https://arxiv.org/abs/1409.1556)
    """

    def __init__(
        self,
        weights="imagenet",
        input_scaling="auto",
        dtype=None,
        name="vgg16_features",
        **kwargs,
    ):
        check_model_arguments(kwargs)
        check_choice("input_scaling", input_scaling, ("auto", *SCALINGS))
        state, scaling = None, "as_is"
        if weights is not None:
            state, scaling = read_vgg16(weights)
        if input_scaling == "auto":
            input_scaling = scaling

        # === Functional Model ===
        image = keras.Input((None, None, 3), name="image")
        x, features = image, []
        if input_scaling != "as_is":
            x = _InputScaling(input_scaling, dtype=dtype, name="input_scaling")(x)
        for block, (width, convolutions) in enumerate(BLOCKS, start=1):
            for i in range(1, convolutions + 1):
                # With the variance of `glorot_uniform`.
                stddev = math.sqrt(2 / (9 * (x.shape[-1] + width)))
                x = Conv2D(
                    width,
                    3,
                    padding="same",
                    activation="relu",
                    kernel_initializer=random_normal(stddev=stddev),
                    dtype=dtype,
                    name=f"block{block}_conv{i}",
                )(x)
            x = MaxPooling2D(dtype=dtype, name=f"block{block}_pool")(x)
            features.append(x)
        super().__init__(inputs=image, outputs=features, name=name, **kwargs)

        # === Config ===
        self.trainable = False
        # A functional model ignores its `dtype` argument.
        self.dtype_policy = keras.dtype_policies.get(dtype)
        self.input_scaling = input_scaling
        if state is not None:
            assign_weights(match_vgg16(self, state))

    def get_config(self):
        # A saved model holds its weights, so they need not be downloaded again.
        return {
            "weights": None,
            "input_scaling": self.input_scaling,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class _InputScaling(layers.Layer):
    """Convert images in [-1, 1] to the value range of other networks.

    Args:
        kind: `"unit"` or `"caffe"`. See `VGG16Features`.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, kind, **kwargs):
        super().__init__(**kwargs)
        self.kind = kind

    def call(self, inputs):
        if self.kind == "unit":
            return image_to_unit(inputs)
        blue_green_red = ops.flip(image_to_levels(inputs), axis=-1)
        return blue_green_red - ops.convert_to_tensor(CAFFE_MEAN, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}
