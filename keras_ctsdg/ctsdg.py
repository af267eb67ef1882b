import keras

from keras_ctsdg import _keras_private, metrics
from keras_ctsdg._checks import check_choice, check_instance
from keras_ctsdg.conventions import Edges, composite
from keras_ctsdg.export import export_model
from keras_ctsdg.inpainting.model import FillsImages
from keras_ctsdg.layers import CannyEdge
from keras_ctsdg.losses import LOSS_WEIGHTS
from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.models._frozen_layers import freeze_layers
from keras_ctsdg.models._value_checks import (
    check_finite_result,
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
from keras_ctsdg.training.padded_data import leave_out_padding
from keras_ctsdg.training.preparation import prepared_fit


@_keras_private.name_package
@keras.saving.register_keras_serializable(package="keras_ctsdg")
class CTSDG(FillsImages, TrainingStep):
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
        kwargs = name_arguments(args, kwargs)
        with (
            plain_batch_errors(),
            prepared_fit(self, x, kwargs) as (kwargs, follow_data),
        ):
            x, kwargs = follow_epochs(x, kwargs)
            x = validate_data(x, kwargs.get("batch_size"), kwargs.get("shuffle", True))
            follow_data(x, kwargs)
            if validation_data is not None:
                size = kwargs.get("validation_batch_size") or kwargs.get("batch_size")
                validation_data = validate_evaluation_data(validation_data, size)
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

    # === Export, presets and config ===

    def export(
        self,
        filepath,
        format=None,
        size=None,
        dtype=None,
        image_dtype="uint8",
        overwrite=True,
        metadata=None,
    ):
        """Write a file that fills images without Keras, in another runtime.

        The file takes `image` `[B, H, W, 3]`, RGB, and `mask` `[B, H, W, 1]`, where 0
        keeps a pixel and any other value marks the hole, and returns `filled`
        `[B, H, W, 3]`, which equals the image outside the hole bit for bit, and
        `edge` `[B, H, W, 1]`, the Canny edges that the network saw. Scaling, gray and
        edges are computed inside. The batch size is free.

        After it is written, the file is run in its own runtime, if that is installed,
        and compared with the model on two photographs: in the hole, the PSNR must be
        at least 60 dB and all edges the same, or 45 dB in less than float32. Otherwise
        no file is left behind.

        | format | ending | written on | sizes | dtypes |
        |---|---|---|---|---|
        | `"savedmodel"` | a folder | TensorFlow | free | float32 |
        | `"openvino"` | `.xml`, `.bin` | TensorFlow | free | float32, float16 |
        | `"onnx"` | `.onnx` | PyTorch | fixed | float32, float16, int8 |
        | `"litert"` | `.tflite` | TensorFlow | fixed | float32, int8 |
        | `"torch"` | `.pt2` | PyTorch | fixed | float32 |
        | `"web"`, a page | a folder | PyTorch | fixed | float16, float32, int8 |

        Args:
            filepath: Path of the file or folder.
            format: Str, one of the formats above. Defaults to `None`, the format of
                the path's ending.
            size: Tuple `(height, width)` of the images, multiples of 128. Defaults to
                `None`: any size, or 256 x 256 where sizes are fixed.
            dtype: `"float32"`, `"float16"` or `"int8"`, how weights are stored.
                Defaults to `None`, the first in the table.
            image_dtype: `"uint8"`, image, mask and result hold levels from 0 to 255,
                or `"float32"`, values in [0, 1]. Defaults to `"uint8"`.
            overwrite: Bool, whether an existing file is replaced. Defaults to `True`.
            metadata: Dict of str, entries to be added to the file's metadata, such as
                `license`. Defaults to `None`.

        Raises:
            ImportError: If a package that writes the format is not installed.
            ValueError: If an argument breaks a rule above, Keras runs on another
                backend than the format needs, or the file fills otherwise.

        Example:

        ```python
        model.export("model.onnx", size=(256, 384))
        filled = keras_ctsdg.from_preset("model.onnx").inpaint("a.jpg", "mask.png")
        ```
        """
        export_model(
            self, filepath, format, size, dtype, image_dtype, overwrite, metadata
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
