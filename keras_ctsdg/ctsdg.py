import keras

from keras_ctsdg import _keras_private, metrics
from keras_ctsdg._checks import check_choice, check_instance
from keras_ctsdg.conventions import Edges, composite
from keras_ctsdg.inpainting import InpaintOptions, inpaint
from keras_ctsdg.layers import CannyEdge
from keras_ctsdg.losses import LOSS_WEIGHTS
from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.models._frozen_layers import freeze_layers
from keras_ctsdg.models._value_checks import (
    check_finite_result,
    check_finite_weights,
)
from keras_ctsdg.presets import from_preset
from keras_ctsdg.presets.files import write_preset
from keras_ctsdg.training import TrainingStep
from keras_ctsdg.training.checked_data import check_data, plain_batch_errors
from keras_ctsdg.training.data_adapter import (
    follow_epochs,
    name_arguments,
    refuse_targets,
    validate_data,
    validate_evaluation_data,
)
from keras_ctsdg.training.monitors import prepare_callbacks
from keras_ctsdg.training.padded_data import leave_out_padding


@_keras_private.name_package
@keras.saving.register_keras_serializable(package="keras_ctsdg")
class CTSDG(TrainingStep):
    """Conditional texture and structure dual generation: an inpainting GAN.

    Args:
        generator: A `keras_ctsdg.models.Generator`.
        discriminator: A `keras_ctsdg.models.Discriminator`, or `None` for a model
            that fills images and cannot be trained. Defaults to `None`.
        edges: `"clean"` or `"wrapped"`, which gray and edge inputs the weights
            expect: those of the image, or those of the image as the original
            implementations wrap it into bytes. Their weights need `"wrapped"`.
            Defaults to `"clean"`.
        sigma: Float, the standard deviation in pixels of Canny's Gaussian for the
            edges that the model computes. Defaults to `2.0`.
        **kwargs: Arguments of `keras.Model`, such as `name` and `dtype`.

    Call arguments:
        inputs: Dict of `image` `[B, H, W, 3]` in [-1, 1], `gray` `[B, H, W, 1]` in
            [0, 1], `edge` `[B, H, W, 1]`, 0 or 1, and `mask` `[B, H, W, 1]` in
            [0, 1], where 1 marks the hole. H and W are multiples of 128. Data sets
            for `fit`, `evaluate` and `predict` yield the same dict. If `gray` and
            `edge` are both left out, the model computes them from `image`, by `edges`
            and `sigma`, on the device that it runs on.

    Returns:
        Float32 tensor `[B, H, W, 3]` in [-1, 1]: the images with their holes filled.
        `fit` and `evaluate` report `generator_loss`, which is also called `loss`,
        `discriminator_loss`, and the generator's unweighted terms: `hole`, `valid`,
        `perceptual`, `style`, `adversarial` and `intermediate`. `evaluate` reports
        `psnr`, `ssim`, `mae` and `samples` too, of all images and by mask ratio, as in
        `psnr_0_20`. Validation in `fit` reports neither `samples` nor single groups.

    Raises:
        ValueError: If an argument or a batch breaks a rule above, if there are `y` or
            sample weights, or if a model fills or is saved with weights not finite.

    Example:

    ```python
    model = keras_ctsdg.CTSDG(
        keras_ctsdg.models.Generator(), keras_ctsdg.models.Discriminator()
    )
    model.compile(perceptual_network=keras_ctsdg.models.VGG16Features())
    model.fit(dataset, epochs=10)
    filled = model.predict(dataset)
    ```

    Reference:
        - [Guo et al., 2021](https://arxiv.org/abs/2108.09760)
    """

    def __init__(
        self, generator, discriminator=None, edges="clean", sigma=2.0, **kwargs
    ):
        check_instance("generator", generator, Generator)
        if discriminator is not None:
            check_instance("discriminator", discriminator, Discriminator)
        kwargs.setdefault("dtype", generator.dtype_policy)
        kwargs.setdefault("name", "ctsdg")
        # An image in half precision would have other edges.
        super().__init__(**{"autocast": False, **kwargs})
        # The order matters: the generator's variables come first everywhere.
        self.generator = generator
        self.discriminator = discriminator
        self.edges = check_choice("edges", edges, Edges)
        self.sigma = sigma
        self.canny = CannyEdge(sigma, dtype="float32", name="canny")
        # With an unbuilt layer Keras would run a batch eagerly before each `predict`.
        self.canny.build((None, None, None, 1))
        self.perceptual_network = None
        names = ("generator_loss", "discriminator_loss", *LOSS_WEIGHTS)
        self.loss_trackers = {name: keras.metrics.Mean(name=name) for name in names}
        self.image_metrics = [
            metrics.PSNR(),
            metrics.SSIM(),
            metrics.MeanAbsoluteError(),
            metrics.SampleCount(),
        ]
        self.arrange_in_memory(self.variables)
        freeze_layers(self)
        # Both networks are built. `compile` can then add the perceptual network.
        self.built = True

    def call(self, inputs, training=False):
        inputs = self.complete_inputs(inputs)
        output = self.generator.call_for_image(inputs, training=training)
        return composite(output, inputs["image"], inputs["mask"])

    # === Training and evaluation ===

    def fit(
        self,
        x=None,
        y=None,
        *args,
        validation_data=None,
        class_weight=None,
        sample_weight=None,
        **kwargs,
    ):
        refuse_targets(y=y, class_weight=class_weight, sample_weight=sample_weight)
        x, kwargs = follow_epochs(x, name_arguments(args, kwargs))
        with plain_batch_errors():
            x = validate_data(x, kwargs.get("batch_size"), kwargs.get("shuffle", True))
            if validation_data is not None:
                size = kwargs.get("validation_batch_size") or kwargs.get("batch_size")
                validation_data = validate_evaluation_data(validation_data, size)
            if self.compiled:
                kwargs = prepare_callbacks(kwargs, self)
            return super().fit(x, validation_data=validation_data, **kwargs)

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        **kwargs,
    ):
        refuse_targets(y=y, sample_weight=sample_weight)
        # `fit` passes its own `CallbackList`, and users pass a list of callbacks.
        in_fit = isinstance(kwargs.get("callbacks"), keras.callbacks.CallbackList)
        with plain_batch_errors():
            if not in_fit:
                x = validate_evaluation_data(x, batch_size)
            logs = super().evaluate(x, y, batch_size, verbose, **kwargs)
        if in_fit:
            # A progress bar has no room for the metrics of every mask-ratio group.
            logs = {k: v for k, v in logs.items() if not metrics.is_bin_or_count(k)}
        return logs

    def predict(self, x, batch_size=None, **kwargs):
        check_finite_weights(self.generator, "fill images")
        with plain_batch_errors():
            x = validate_evaluation_data(x, batch_size)
            return leave_out_padding(super().predict(x, batch_size, **kwargs))

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, return_dict=False
    ):
        refuse_targets(y=y, sample_weight=sample_weight, class_weight=class_weight)
        return super().train_on_batch(self.load_batch(x), return_dict=return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        refuse_targets(y=y, sample_weight=sample_weight)
        return super().test_on_batch(self.load_batch(x), return_dict=return_dict)

    def predict_on_batch(self, x):
        filled = leave_out_padding(super().predict_on_batch(check_data(x)))
        check_finite_result(filled, self.generator)
        return filled

    # === Inpainting ===

    def inpaint(self, image, mask=None, **options):
        """Fill the holes in images of any kind and size, in their own pixels.

        Everything outside the hole is returned bit for bit.

        Alpha: with a mask, alpha is kept, and the network sees the colors under
        transparent pixels. Without one, pixels that are transparent by at least
        `threshold` are the hole, and become opaque; all others keep their alpha.

        Args:
            image: A path, the bytes of a file, an open file, a PIL image, an array
                `[H, W]`, `[H, W, 1]`, `[H, W, 3]` or `[H, W, 4]` (uint8, uint16,
                other integers in [0, 255], or floats in [0, 1]), a batch of arrays
                `[B, H, W, C]`, or a list of any of these. Tensors and nested lists
                are taken as arrays. PIL images may be of mode 1, L, LA, P, PA, RGB,
                RGBA, CMYK, YCbCr, HSV, I;16, or I with 16 bits. Of a file of several
                frames the first is filled, with a warning. Floats in the hole may be
                anything, NaN included.
            mask: An image of the same size, of any of these kinds, where white or 1
                marks the hole, or a color on black, or an alpha; one for all images,
                or one for each. What is unclear is refused; only a black mask has no
                hole. `keras_ctsdg.data.mask_levels` has the rules. It is oriented
                as the image is displayed, after its EXIF rotation; an array may also
                follow the image's rows as stored. `None` takes the transparent
                pixels of the image as the hole. Defaults to `None`.
            **options: Fields of `keras_ctsdg.inpainting.InpaintOptions`, which
                documents them: `strategy="auto"`, `size=384`, `invert_mask=False`,
                `threshold=0.5`, `dilate=0`, `feather=0` and `memory_limit=3.0`.

        Returns:
            The filled images in the form they were passed: list, batch or single;
            arrays of the same shape and dtype, PIL images of the same mode and size;
            for a path or bytes, a PIL image, or a `keras_ctsdg.inpainting.Image16`
            where Pillow would drop bits of the file; for tensors and nested lists,
            arrays. Palettes keep their colors, and the hole gets the nearest of them.
            `keras_ctsdg.inpainting.save_image` writes it as the file was encoded. For a
            mask without a hole there is a warning; the image is returned unchanged.

        Raises:
            ValueError: Before any work, if an argument breaks a rule above, a file
                cannot be read, sizes differ, a mask is unclear or covers the whole
                image, values outside the hole are not in [0, 1], or `strategy` needs
                more than `memory_limit`.

        Example:

        ```python
        filled = model.inpaint("photo.jpg", "mask.png", dilate=4)
        keras_ctsdg.inpainting.save_image(filled, "filled.jpg", like="photo.jpg")
        ```
        """
        return inpaint(self, image, mask, InpaintOptions(**options))

    # === Export, presets and config ===

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """Refuse to export, which is not supported yet."""
        raise NotImplementedError(
            "A `keras_ctsdg.CTSDG` cannot be exported yet. Write it by `save` or "
            "`save_to_preset`, and load it with this package. "
            f"Received: filepath={filepath}, format={format}"
        )

    from_preset = staticmethod(from_preset)

    def save_to_preset(
        self, folder, dtype="float32", with_discriminator=True, overwrite=False
    ):
        """Write the networks to a folder, for `keras_ctsdg.from_preset`.

        The folder holds Keras' own files of a model and a model card, but not the
        optimizers of a training, for which there is `save`.

        Args:
            folder: Path of the folder. It must not exist yet, or be empty.
            dtype: `"float32"`, or `"float16"` for kernels of half the size. Defaults
                to `"float32"`.
            with_discriminator: Bool. `False` writes the generator alone, which is
                enough to fill images. Defaults to `True`.
            overwrite: Bool, whether an existing preset is replaced. Defaults to
                `False`.

        Raises:
            ValueError: If an argument breaks a rule above.

        Example:

        ```python
        model.save_to_preset("faces", dtype="float16", with_discriminator=False)
        model = keras_ctsdg.from_preset("faces")
        ```
        """
        record = {}
        if self.compiled:
            record["step"] = int(keras.ops.convert_to_numpy(self.optimizer.iterations))
        write_preset(self, folder, dtype, overwrite, record, with_discriminator)

    def get_config(self):
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "edges": self.edges,
            "sigma": self.sigma,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        networks = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects)
            for key in ("generator", "discriminator")
        }
        return cls(**{**config, **networks})
