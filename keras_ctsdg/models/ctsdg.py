import warnings

import keras
from keras import ops

from keras_ctsdg import losses, metrics
from keras_ctsdg.layers import CannyEdge
from keras_ctsdg.models.discriminator import Discriminator
from keras_ctsdg.models.doors import Doors
from keras_ctsdg.models.generator import Generator
from keras_ctsdg.models.inputs import check_batch
from keras_ctsdg.models.optimizer import (
    PairedOptimizer,
    get_optimizer,
    serialize_optimizer,
)
from keras_ctsdg.models.structure import EDGES, draw_structure


class BaseCTSDG(Doors):
    """What `keras_ctsdg.CTSDG` computes in a step, on no particular backend.

    Its subclasses in `keras_ctsdg.training` take the gradients.
    """

    def __init__(
        self, generator, discriminator=None, edges="clean", sigma=2.0, **kwargs
    ):
        for name, network, kind in (
            ("generator", generator, Generator),
            ("discriminator", discriminator, Discriminator),
        ):
            left_out = network is None and kind is Discriminator
            if not left_out and not isinstance(network, kind):
                raise ValueError(
                    f"`{name}` must be a `keras_ctsdg.models.{kind.__name__}`. "
                    f"Received: {name}={network} of type {type(network).__name__}"
                )
        if edges not in EDGES:
            raise ValueError(
                f"`edges` must be one of {EDGES}. Received: edges={edges!r}"
            )
        kwargs.setdefault("dtype", generator.dtype_policy)
        kwargs.setdefault("name", "ctsdg")
        # Edges of a picture in half precision would be others.
        super().__init__(**{"autocast": False, **kwargs})
        # In this order: the generator's variables come first everywhere.
        self.generator = generator
        self.discriminator = discriminator
        self.edges = edges
        self.sigma = sigma
        self.canny = CannyEdge(sigma, dtype="float32", name="canny")
        # Used or not: with a layer unbuilt, Keras runs a batch for each `predict`.
        self.canny.build((None, None, None, 1))
        self.perceptual_network = None
        names = ("generator_loss", "discriminator_loss", *losses.LOSS_WEIGHTS)
        self.loss_trackers = {name: keras.metrics.Mean(name=name) for name in names}
        self.image_metrics = [
            metrics.PSNR(),
            metrics.SSIM(),
            metrics.MeanAbsoluteError(),
            metrics.PairCount(),
        ]
        # Both networks are; Keras then lets `compile` add the perceptual one.
        self.built = True

    # === Computation ===

    def call(self, inputs, training=False):
        inputs = self._complete(inputs)
        output = self.generator.call_for_image(inputs, training=training)
        return losses.composite(output, inputs["image"], inputs["mask"])

    def prepare(self, data):
        """The inputs in a batch of a data set, checked, as float32 tensors."""
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._complete(inputs)

    def _complete(self, inputs):
        """Inputs in float32, with gray and edge of their own or drawn."""
        keys = check_batch(inputs)
        inputs = {
            key: ops.cast(ops.convert_to_tensor(inputs[key]), "float32") for key in keys
        }
        if "edge" not in keys:
            inputs |= draw_structure(inputs["image"], self.edges, self.canny)
        return inputs

    def generator_losses(self, inputs, training):
        """The generator's terms and their weighted sum, and the picture it made."""
        truth, edge, mask = inputs["image"], inputs["edge"], inputs["mask"]
        outputs = self.generator.call_with_logits(
            # Nothing else in the generator heeds `training`.
            inputs,
            training=training and not self.freeze_batch_norm,
        )
        output = outputs["image"]
        judged = self.discriminator(
            {"image": output, "gray": inputs["gray"]}, training=training
        )
        terms = {
            "hole": losses.hole_loss(output, truth, mask),
            "valid": losses.valid_loss(output, truth, mask),
            "adversarial": losses.adversarial_loss(
                judged["patch_logits"], judged["edge_logits"], edge
            ),
            "intermediate": losses.intermediate_loss(
                outputs["projected_image"],
                outputs["projected_edge_logits"],
                truth,
                edge,
            ),
        }
        if self.perceptual_network is not None:
            terms |= self._perceptual_terms(output, truth, mask)
        total = sum(self.loss_weights[name] * term for name, term in terms.items())
        return {"generator_loss": total, **terms}, output

    def _perceptual_terms(self, output, truth, mask):
        """Perceptual and style loss, each of the output and of the composite."""
        pictures = ops.concatenate(
            [output, losses.composite(output, truth, mask)], axis=0
        )
        features = self.perceptual_network(pictures)
        halves = zip(*(ops.split(level, 2) for level in features), strict=True)
        true_features = self.perceptual_network(truth)
        true_grams = [losses.gram_matrix(level) for level in true_features]
        terms = {"perceptual": 0.0, "style": 0.0}
        for half in halves:
            terms["perceptual"] += losses.perceptual_loss(half, true_features)
            terms["style"] += losses.style_loss(half, true_grams)
        return terms

    def discriminator_losses(self, inputs, output, training):
        """The discriminator's loss on the picture that the generator made."""
        gray, edge = inputs["gray"], inputs["edge"]
        real = self.discriminator(
            {"image": inputs["image"], "gray": gray, "edge": edge}, training=training
        )
        fake = self.discriminator(
            {"image": ops.stop_gradient(output), "gray": gray}, training=training
        )
        return {"discriminator_loss": losses.discriminator_loss(real, fake, edge)}

    def track(self, values, inputs, output=None):
        """Adds a batch to the running means, which are the logs.

        Of its losses, and, given the output, of what the metrics say to the composite.
        """
        size = ops.shape(inputs["image"])[0]
        logs = {}
        for name, tracker in self.loss_trackers.items():
            if name in values:
                tracker.update_state(values[name], sample_weight=size)
                logs[name] = tracker.result()
        if output is not None:
            truth, mask = inputs["image"], inputs["mask"]
            pictures = [
                (x + 1.0) / 2 for x in (truth, losses.composite(output, truth, mask))
            ]
            for metric in self.image_metrics:
                metric.update_state(*pictures, mask)
                logs |= metric.result()
        return logs

    def test_step(self, data):
        inputs = self.prepare(data)
        values, output = self.generator_losses(inputs, training=False)
        values |= self.discriminator_losses(inputs, output, training=False)
        return self.track(values, inputs, output)

    # === Compilation ===

    def compile(
        self,
        generator_optimizer=None,
        discriminator_optimizer=None,
        loss_weights=None,
        perceptual_network=None,
        freeze_batch_norm=False,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ):
        """Says what the model is trained with.

        Args:
            generator_optimizer: A Keras optimizer. Defaults to the paper's,
                `Adam(2e-4)`.
            discriminator_optimizer: A Keras optimizer. Defaults to the paper's,
                `Adam(2e-5)`.
            loss_weights: Dict of the weights to change, of the terms `hole`,
                `valid`, `perceptual`, `style`, `adversarial` and `intermediate`.
                Defaults to the paper's: 60, 10, 0.1, 250, 0.1 and 1.
            perceptual_network: Model from a picture `[B, H, W, 3]` in [-1, 1] to a
                list of features, `keras_ctsdg.models.VGG16Features`. `None` trains
                without the perceptual and the style loss and warns of it. It is
                frozen and saved with the model. Defaults to `None`.
            freeze_batch_norm: Bool, whether the generator's batch normalization uses
                its statistics in training too, as in the paper's fine-tuning; its
                scale and offset go on learning. Defaults to `False`.
            run_eagerly: Bool, as in `keras.Model.compile`. Defaults to `False`.
            steps_per_execution: Int, as in `keras.Model.compile`. Defaults to `1`.
            jit_compile: Bool or `"auto"`, as in `keras.Model.compile`: XLA on JAX, and
                on TensorFlow where there is a GPU (on a CPU its own kernels are
                faster); PyTorch as it is. Defaults to `"auto"`.
            auto_scale_loss: Bool, whether `mixed_float16` scales losses, as in
                `keras.Model.compile`. Defaults to `True`.

        Raises:
            ValueError: If a weight is given for a term that does not exist, or the
                model has no discriminator.
        """
        if self.discriminator is None:
            raise ValueError(
                "A model without a discriminator only fills pictures. To train it, "
                "make a `CTSDG` with one. Received: discriminator=None"
            )
        loss_weights = dict(loss_weights or {})
        unknown = sorted(set(loss_weights) - set(losses.LOSS_WEIGHTS))
        if unknown:
            raise ValueError(
                f"`loss_weights` may name {list(losses.LOSS_WEIGHTS)}. "
                f"Received: loss_weights={loss_weights}, of which unknown {unknown}"
            )
        if perceptual_network is None:
            warnings.warn(
                "`perceptual_network=None`: training without the perceptual and the "
                "style loss. Pass `keras_ctsdg.models.VGG16Features()` for the "
                "paper's losses.",
                stacklevel=2,
            )
        else:
            perceptual_network.trainable = False
        self.perceptual_network = perceptual_network
        self.freeze_batch_norm = freeze_batch_norm
        self.loss_weights = {**losses.LOSS_WEIGHTS, **loss_weights}
        self.generator_optimizer = get_optimizer(generator_optimizer, 2e-4)
        self.discriminator_optimizer = get_optimizer(discriminator_optimizer, 2e-5)
        super().compile(
            optimizer=PairedOptimizer(
                self.generator, self.generator_optimizer, self.discriminator_optimizer
            ),
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        self._asked = {"jit_compile": jit_compile, "auto_scale_loss": auto_scale_loss}
        # Now, and not while TensorFlow traces, which would then trace twice.
        self.optimizer.build(self.trainable_variables)

    def get_compile_config(self):
        if not self.compiled:
            return {}
        return {
            "generator_optimizer": serialize_optimizer(self.generator_optimizer),
            "discriminator_optimizer": serialize_optimizer(
                self.discriminator_optimizer
            ),
            "loss_weights": dict(self.loss_weights),
            "perceptual_network": keras.saving.serialize_keras_object(
                self.perceptual_network
            ),
            "freeze_batch_norm": self.freeze_batch_norm,
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
            **self._asked,
        }

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        with warnings.catch_warnings():
            # Whoever saved the model was told.
            warnings.filterwarnings("ignore", message="`perceptual_network=None`")
            self.compile(**config)

    # === Config ===

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
