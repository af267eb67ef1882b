import warnings
from typing import Any

import keras
from keras import ops

from keras_ctsdg import losses
from keras_ctsdg.models._input_checks import check_batch
from keras_ctsdg.models._value_checks import check_finite_weights
from keras_ctsdg.models.structure import compute_structure
from keras_ctsdg.training.checked_data import unpack_batch
from keras_ctsdg.training.checkpoint_options import compiled_options
from keras_ctsdg.training.finite_steps import FiniteSteps
from keras_ctsdg.training.logs import Logs
from keras_ctsdg.training.optimizer import (
    check_trainable_dtype,
    get_optimizer,
    pair_optimizers,
    serialize_optimizer,
)
from keras_ctsdg.training.saving import SafeSaving
from keras_ctsdg.training.trainable_state import TrainableState


class BaseTrainingStep(FiniteSteps, Logs, SafeSaving):
    """Losses, logs and compilation of a training step, the same on every backend.

    The subclass of each backend takes the gradients. All of them use attributes that
    `keras_ctsdg.CTSDG.__init__` sets: `generator`, `discriminator`, `edges`, `canny`,
    `loss_trackers` and `image_metrics`.
    """

    perceptual_network: Any
    trainable_state: Any = None
    compiled_options: Any = None

    # === Batches ===

    def prepare_batch(self, data):
        """Check a batch of a data set and return its inputs.

        Args:
            data: Dict of arrays or tensors, or a tuple of one and of `None`.

        Returns:
            Dict of float32 tensors: `image`, `gray`, `edge` and `mask`. With
            `sample_weight` `[B]`, if the batch has it or is a part of a larger one.

        Raises:
            ValueError: If the batch breaks a rule of `keras_ctsdg.CTSDG`.
        """
        batch = unpack_batch(data)
        inputs = self.complete_inputs(batch)
        weights = batch.get("sample_weight")
        if weights is None and self.is_shared:
            weights = ops.ones(ops.shape(inputs["image"])[:1])
        if weights is not None:
            inputs["sample_weight"] = ops.cast(weights, "float32")
        return inputs

    def complete_inputs(self, inputs):
        """Check inputs, cast them to float32, and compute `gray` and `edge` if absent.

        Args:
            inputs: Dict of arrays or tensors, as `keras_ctsdg.CTSDG` takes it.

        Returns:
            Dict of float32 tensors: `image`, `gray`, `edge` and `mask`.
        """
        keys = check_batch(inputs)
        inputs = {
            key: ops.cast(ops.convert_to_tensor(inputs[key]), "float32") for key in keys
        }
        if "edge" not in keys:
            inputs |= compute_structure(inputs["image"], self.edges, self.canny)
        return inputs

    # === Losses ===

    def generator_losses(self, inputs, training):
        """Compute the generator's losses.

        Args:
            inputs: Dict of float32 tensors, as `prepare_batch` returns them.
            training: Bool, whether batch normalization uses the batch's statistics.

        Returns:
            Tuple of a dict of scalars, which are `generator_loss` and its unweighted
            terms, and the generator's output, a tensor `[B, H, W, 3]` in [-1, 1].
        """
        target, edge, mask = inputs["image"], inputs["edge"], inputs["mask"]
        # A frozen generator is trained: its attention is to be fast in the gradients.
        outputs = self.generator.call_with_logits(
            inputs, training=training, freeze_batch_norm=self.freeze_batch_norm
        )
        output = outputs["image"]
        fake = self.discriminator(
            {"image": output, "gray": inputs["gray"]}, training=training
        )
        terms = {
            "hole": losses.hole_loss(output, target, mask),
            "valid": losses.valid_loss(output, target, mask),
            "adversarial": losses.adversarial_loss(
                fake["patch_logits"], fake["edge_logits"], edge
            ),
            "intermediate": losses.intermediate_loss(
                outputs["projected_image"],
                outputs["projected_edge_logits"],
                target,
                edge,
            ),
        }
        if self.perceptual_network is not None:
            terms |= losses.perceptual_terms(
                self.perceptual_network, output, target, mask
            )
        total = sum(self.loss_weights[name] * term for name, term in terms.items())
        return {"generator_loss": total, **terms}, output

    def discriminator_losses(self, inputs, output, training):
        """Compute the discriminator's loss for an output of the generator.

        Args:
            inputs: Dict of float32 tensors, as `prepare_batch` returns them.
            output: Tensor `[B, H, W, 3]` in [-1, 1]; no gradient flows through it.
            training: Bool, whether power iterations and statistics are updated.

        Returns:
            Dict of the scalar `discriminator_loss`.
        """
        gray, edge = inputs["gray"], inputs["edge"]
        real = self.discriminator(
            {"image": inputs["image"], "gray": gray, "edge": edge}, training=training
        )
        fake = self.discriminator(
            {"image": ops.stop_gradient(output), "gray": gray}, training=training
        )
        return {"discriminator_loss": losses.discriminator_loss(real, fake, edge)}

    def predict(self, *args, **kwargs):
        # Not sooner: on JAX another thread may have the weights until now.
        check_finite_weights(self.generator, "fill images")
        return super().predict(*args, **kwargs)

    def test_step(self, data):
        return self.compute_logs(self.prepare_batch(data))

    def compute_logs(self, inputs):
        """Evaluate the model on a batch.

        Args:
            inputs: Dict of float32 tensors, as `prepare_batch` returns them.

        Returns:
            Dict of scalars, as `update_metrics` returns it.
        """
        with self.whole_batch(inputs):
            values, output = self.generator_losses(inputs, training=False)
            values |= self.discriminator_losses(inputs, output, training=False)
        return self.update_metrics(self.sum_losses(values), inputs, output)

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
        """Configure the model for training.

        Args:
            generator_optimizer: A Keras optimizer. Defaults to the paper's,
                `Adam(2e-4)`.
            discriminator_optimizer: A Keras optimizer. Defaults to the paper's,
                `Adam(2e-5)`.
            loss_weights: Dict of new weights for any of the generator's terms `hole`,
                `valid`, `perceptual`, `style`, `adversarial` and `intermediate`.
                Defaults to the paper's: 60, 10, 0.1, 250, 0.1 and 1.
            perceptual_network: A `keras_ctsdg.models.VGG16Features`, or another model
                that maps images `[B, H, W, 3]` in [-1, 1] to a list of features. It is
                frozen, and saved with the model. `None` trains without the perceptual
                and the style loss, with a warning. Defaults to `None`.
            freeze_batch_norm: Bool, whether the generator's batch normalization uses
                its moving statistics in training too, as in the paper's fine-tuning;
                its scale and offset stay trainable. Defaults to `False`.
            run_eagerly: Bool, as in `keras.Model.compile`. Defaults to `False`.
            steps_per_execution: Int, as in `keras.Model.compile`. Defaults to `1`.
            jit_compile: Bool or `"auto"`, as in `keras.Model.compile`: XLA on JAX, and
                on TensorFlow where there is a GPU (on a CPU its own kernels are
                faster). On PyTorch only if `True`: a graph of `torch.compile` for each
                step and size, which needs a C++ compiler. Defaults to `"auto"`.
            auto_scale_loss: Bool, whether `mixed_float16` scales losses, as in
                `keras.Model.compile`. Defaults to `True`.

        Raises:
            ValueError: If a weight is given for a term that does not exist, the
                model has no discriminator, or its weights are of float16.
        """
        if self.discriminator is None:
            raise ValueError(
                "A model without a discriminator cannot be trained. Create the `CTSDG` "
                "with a discriminator. Received: discriminator=None"
            )
        check_trainable_dtype(self.generator, self.discriminator)
        loss_weights = dict(loss_weights or {})
        unknown = sorted(set(loss_weights) - set(losses.LOSS_WEIGHTS))
        if unknown:
            raise ValueError(
                f"Keys of `loss_weights` must be among {list(losses.LOSS_WEIGHTS)}. "
                f"Received: loss_weights={loss_weights}, with unknown keys {unknown}"
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
            optimizer=pair_optimizers(self, auto_scale_loss),
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        # Keras replaces "auto" by its choice; the config keeps the arguments.
        self._compile_arguments = {
            "jit_compile": jit_compile,
            "auto_scale_loss": auto_scale_loss,
        }
        # As they are now: a training changes rates.
        self.compiled_options = compiled_options(self)
        self.trainable_state = TrainableState(self)
        # Building the optimizer here spares TensorFlow a second trace of the step.
        self.optimizer.build(self.trainable_state.variables)
        self.arrange_in_memory(self.optimizer.variables)
        if perceptual_network is not None:
            self.arrange_in_memory(perceptual_network.variables)

    def make_train_function(self, force=False):
        if self.train_function is not None and not force:
            return
        super().make_train_function(force=True)
        self.train_function = self.trainable_state.apply_in(self.train_function)

    def arrange_in_memory(self, variables):
        """Arrange variables in memory as the backend reads them fastest.

        Args:
            variables: List of Keras variables, whose shapes and values stay.
        """

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
            **self._compile_arguments,
        }

    def compile_from_config(self, config):
        config = keras.saving.deserialize_keras_object(config)
        with warnings.catch_warnings():
            # The warning was given when the saved model was compiled.
            warnings.filterwarnings("ignore", message="`perceptual_network=None`")
            self.compile(**config)
