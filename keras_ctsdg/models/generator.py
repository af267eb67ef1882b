import keras
from keras import layers

from keras_ctsdg import _keras_private
from keras_ctsdg._checks import check_choice
from keras_ctsdg.conventions import CHANNELS, Upsampling
from keras_ctsdg.layers import RegionAffinityLearning
from keras_ctsdg.models._frozen_layers import (
    create_with_frozen_layers,
    freeze_layers,
    frozen_layers_config,
)
from keras_ctsdg.models._generator_blocks import GeneratorBlocks
from keras_ctsdg.models._input_checks import (
    check_filters,
    check_image_shape,
    check_inputs,
    check_model_arguments,
)
from keras_ctsdg.models._memory_efficient import (
    FrozenStatistics,
    MemoryEfficientFunctional,
)


@_keras_private.name_package
@keras.saving.register_keras_serializable(package="keras_ctsdg")
class Generator(MemoryEfficientFunctional):
    """The two-stream generator, which fills the hole of an image.

    A texture stream and a structure stream, U-shaped networks of partial
    convolutions, exchange their bottlenecks: each decoder starts from the other
    stream's encoder. Bidirectional gated fusion joins the two streams, and contextual
    feature aggregation refines the result. With the default `filters` there are
    52,147,789 trainable parameters.

    Args:
        image_shape: Tuple `(H, W, 3)`, where H and W are multiples of 128, or `None`
            for any size. Defaults to `(None, None, 3)`.
        filters: Int, the width of the first block; the encoders are `filters * (1,
            2, 4, 8, 8, 8, 8)` wide. Must be a multiple of 4. Defaults to `64`.
        upsampling: `"half_pixel"` (the authors' code) or `"align_corners"` (its
            MindSpore port), how the decoders upsample. Weights that were trained with
            one do not fit the other. Defaults to `"half_pixel"`.
        dtype: Dtype policy of the layers. Defaults to Keras' global policy. The
            outputs are as precise as the weights, also under mixed precision.
        name: Str, the name of the model. Defaults to `"generator"`.
        **kwargs: Further arguments of a functional `keras.Model`: `trainable`.

    Call arguments:
        inputs: Dict of `image` `[B, H, W, 3]` in [-1, 1], `gray` `[B, H, W, 1]` in
            [0, 1], `edge` `[B, H, W, 1]`, 0 or 1, and `mask` `[B, H, W, 1]`, where
            1 marks the hole. H and W are multiples of 128. Values in the hole are
            ignored.
        training: Bool, whether batch normalization uses the statistics of the batch.
            Defaults to `False`.

    Returns:
        Dict of `image` `[B, H, W, 3]` in [-1, 1], the filled image, and the
        predictions of the two streams: `projected_image` `[B, H, W, 3]` in [-1, 1]
        and `projected_edge` `[B, H, W, 1]` in [0, 1]. None of them has the known
        pixels of the input pasted in.

    Raises:
        ValueError: If an argument or an input breaks a rule above.

    Example:

    >>> generator = Generator(image_shape=(256, 256, 3), filters=8)
    >>> generator.output["image"].shape
    (None, 256, 256, 3)
    >>> generator.output["projected_edge"].shape
    (None, 256, 256, 1)

    ```python
    outputs = generator({"image": image, "gray": gray, "edge": edge, "mask": mask})
    filled = outputs["image"]
    ```

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
        check_model_arguments(kwargs)
        check_image_shape(image_shape)
        filters = check_filters(filters)
        upsampling = check_choice("upsampling", upsampling, Upsampling)

        # === Layers ===
        blocks = GeneratorBlocks(filters, upsampling, dtype)
        invert = layers.Rescaling(-1.0, 1.0, dtype=dtype, name="validity")
        join_structure = layers.Concatenate(dtype=dtype, name="structure_input")

        # === Functional Model ===
        inputs = {
            key: keras.Input((*image_shape[:2], channels), name=key)
            for key, channels in CHANNELS.items()
        }
        validity = invert(inputs["mask"])
        structure = join_structure([inputs["edge"], inputs["gray"]])
        texture_levels = blocks.apply_encoder(inputs["image"], validity, "texture")
        structure_levels = blocks.apply_encoder(structure, validity, "structure")
        # Each stream is decoded from the bottleneck of the other.
        texture = blocks.apply_decoder(structure_levels[-1], texture_levels, "texture")
        structure = blocks.apply_decoder(
            texture_levels[-1], structure_levels, "structure"
        )
        projected_image, _ = blocks.apply_projection(
            texture, CHANNELS["image"], "tanh", "projected_image"
        )
        projected_edge, edge_logits = blocks.apply_projection(
            structure, CHANNELS["edge"], "sigmoid", "projected_edge"
        )
        outputs = {
            "image": blocks.apply_refinement(texture, structure),
            "projected_image": projected_image,
            "projected_edge": projected_edge,
        }
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)
        all_outputs = {**outputs, "projected_edge_logits": edge_logits}
        with_logits = MemoryEfficientFunctional(inputs, all_outputs)
        frozen = FrozenStatistics(inputs, all_outputs)
        image_only = MemoryEfficientFunctional(inputs, outputs["image"])
        # In closures, so that Keras tracks and saves every layer only once.
        self._with_logits = lambda x, training: with_logits(x, training=training)
        self._frozen_with_logits = lambda x, training: frozen(x, training=training)
        self._image_only = lambda x, training: image_only(x, training=training)

        # === Config ===
        # A functional model ignores its `dtype` argument.
        self.dtype_policy = blocks.dtype_policy
        self.image_shape = tuple(image_shape)
        self.filters = filters
        freeze_layers(self)
        self.upsampling = upsampling

    def __call__(self, inputs, *args, **kwargs):
        check_inputs(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def call_with_logits(self, inputs, training=False, freeze_batch_norm=False):
        """Run the network and return the logits of the projected edge, too.

        Args:
            inputs: Dict of tensors, as for a plain call.
            training: Bool, whether gradients will be computed, and batch normalization
                uses the statistics of the batch. Defaults to `False`.
            freeze_batch_norm: Bool, whether batch normalization uses its moving
                statistics in any case. Defaults to `False`.

        Returns:
            The dict of a plain call with `projected_edge_logits` `[B, H, W, 1]`, from
            which the edge loss is computed.
        """
        part = self._frozen_with_logits if freeze_batch_norm else self._with_logits
        return self._call_part(part, inputs, training)

    def call_for_image(self, inputs, training=False):
        """Run the network without the projections, which only training needs.

        Args:
            inputs: Dict of tensors, as for a plain call.
            training: Bool, whether batch normalization uses the statistics of the
                batch. Defaults to `False`.

        Returns:
            Tensor `[B, H, W, 3]` in [-1, 1], the `image` of a plain call.
        """
        return self._call_part(self._image_only, inputs, training)

    def _call_part(self, part, inputs, training):
        check_inputs(inputs)
        return part({key: inputs[key] for key in CHANNELS}, training)

    def estimate_memory(self, height, width):
        """Estimate the memory that a call for one image takes.

        The estimate was measured on a CPU. It is the same on every backend, so that
        they all split an image into the same windows.

        Args:
            height: Int, a multiple of 128.
            width: Int, a multiple of 128.

        Returns:
            Float, gigabytes.

        Example:

        >>> Generator(filters=8).estimate_memory(256, 256)
        0.092274688
        """
        features = 12 * self.filters * height * width
        # The attention runs on features of half the size of the image.
        scores = 8 * RegionAffinityLearning.scores_in_memory(height // 2, width // 2)
        return 4 * (features + scores) / 1e9

    def get_config(self):
        return {
            "image_shape": self.image_shape,
            "filters": self.filters,
            "upsampling": self.upsampling,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
            **frozen_layers_config(self),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return create_with_frozen_layers(cls, config)
