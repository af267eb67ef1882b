import keras
from keras import layers

# The convolutions of blocks 1 to 3: the paper looks no deeper.
BLOCKS = ((64, 2), (128, 2), (256, 3))


@keras.saving.register_keras_serializable(package="keras_ctsdg")
class VGG16Features(keras.Model):
    """VGG16 up to its third pooling, which the perceptual and style losses use.

    Frozen. Pictures are taken in [-1, 1] as they are, without ImageNet's mean and
    scale: the loss weights were tuned that way.

    Args:
        weights: `"imagenet"` (KerasHub's preset `vgg_16_imagenet`, a conversion of
            torchvision's weights; fetched once) or `None`, for random weights that
            `keras_ctsdg.convert.load_torchvision_vgg16` or `load_weights` replaces.
            Defaults to `"imagenet"`.
        dtype: Dtype policy of the layers. Defaults to Keras' global policy.
        name: String, the name of the model. Defaults to `"vgg16_features"`.
        **kwargs: Further arguments of `keras.Model`.

    Call arguments:
        inputs: Tensor `[B, H, W, 3]` in [-1, 1].

    Returns:
        List of three tensors: `[B, H / 2, W / 2, 64]`, `[B, H / 4, W / 4, 128]` and
        `[B, H / 8, W / 8, 256]`.

    Raises:
        ValueError: If `weights` is none of the above.
        OSError: If the ImageNet weights are asked for and can't be fetched.

    Example:

    >>> features = VGG16Features(weights=None)(np.zeros((1, 128, 128, 3)))
    >>> [feature.shape[-1] for feature in features]
    [64, 128, 256]

    Reference:
        - [Simonyan and Zisserman, 2014](https://arxiv.org/abs/1409.1556)
    """

    def __init__(self, weights="imagenet", dtype=None, name="vgg16_features", **kwargs):
        if weights not in (None, "imagenet"):
            raise ValueError(
                '`weights` must be "imagenet" or None. For a file of torchvision\'s, '
                "pass None and hand its tensors to "
                "`keras_ctsdg.convert.load_torchvision_vgg16`. "
                f"Received: weights={weights!r}"
            )
        # Asked first: without a network this fails before a graph is built.
        source = _imagenet_backbone() if weights == "imagenet" else None

        # === Functional Model ===
        image = keras.Input((None, None, 3), name="image")
        x, pooled = image, []
        for block, (width, convolutions) in enumerate(BLOCKS, start=1):
            for i in range(1, convolutions + 1):
                x = layers.Conv2D(
                    width,
                    3,
                    padding="same",
                    activation="relu",
                    data_format="channels_last",
                    dtype=dtype,
                    name=f"block{block}_conv{i}",
                )(x)
            x = layers.MaxPooling2D(
                data_format="channels_last", dtype=dtype, name=f"block{block}_pool"
            )(x)
            pooled.append(x)
        super().__init__(inputs=image, outputs=pooled, dtype=dtype, name=name, **kwargs)
        self.trainable = False
        if source is not None:
            for layer in self.layers:
                if layer.weights:
                    layer.set_weights(source.get_layer(layer.name).get_weights())

    def get_config(self):
        # Saved with its numbers, it never has to be fetched again.
        return {
            "weights": None,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def _imagenet_backbone():
    import keras_hub

    try:
        return keras_hub.models.VGGBackbone.from_preset("vgg_16_imagenet")
    except Exception as error:
        raise OSError(
            "The ImageNet weights of VGG16 could not be fetched (KerasHub preset "
            "`vgg_16_imagenet`). Connect this machine once, or pass "
            "`VGG16Features(weights=None)` and load torchvision's tensors with "
            "`keras_ctsdg.convert.load_torchvision_vgg16`, or train with "
            "`perceptual_network=None`. Received: weights='imagenet'"
        ) from error
