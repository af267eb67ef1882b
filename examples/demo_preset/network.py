"""The network of the preset, its losses and its learning rates."""

import keras
from keras import ops

import keras_ctsdg
from keras_ctsdg import losses, metrics
from keras_ctsdg.conventions import composite, image_to_unit

# 1 is a level of 60 dB: better than that is not worth an effort.
SMALLEST_ERROR = 1e-6
WEIGHTS = {"log_error": 1.0, "dissimilarity": 6.0, "hole": 6.0, "valid": 2.0}
WEIGHTS |= {"intermediate": 0.5}


class Restoration(keras_ctsdg.CTSDG):
    """A CTSDG that is trained for PSNR and SSIM, without a discriminator's advice.

    The logarithm of each sample's squared error is its PSNR. A smooth image with a
    small hole then counts as much as a rough one with a large hole, beside which it
    would vanish in a mean of errors.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name in ("log_error", "dissimilarity"):
            self.loss_trackers[name] = keras.metrics.Mean(name=name)

    def generator_losses(self, inputs, training):
        """Compute the generator's losses, as `keras_ctsdg.CTSDG` does."""
        target, mask = inputs["image"], inputs["mask"]
        outputs = self.generator.call_with_logits(inputs, training=training)
        output = ops.cast(outputs["image"], "float32")
        filled = image_to_unit(composite(output, target, mask))
        unit = image_to_unit(target)
        error = ops.mean(ops.square(filled - unit), axis=(1, 2, 3))
        terms = {
            "log_error": ops.mean(ops.log(error + SMALLEST_ERROR)),
            "dissimilarity": 1.0 - ops.mean(metrics.ssim(_gray(unit), _gray(filled))),
            "hole": losses.hole_loss(output, target, mask),
            "valid": losses.valid_loss(output, target, mask),
            "intermediate": losses.intermediate_loss(
                outputs["projected_image"],
                outputs["projected_edge_logits"],
                target,
                inputs["edge"],
            ),
        }
        total = sum(WEIGHTS[name] * term for name, term in terms.items())
        return {"generator_loss": total, **terms}, output

    def discriminator_losses(self, inputs, output, training):
        """Return a loss of 0, whose gradients are 0: the discriminator stays."""
        variables = self.discriminator.trainable_variables
        return {"discriminator_loss": 0.0 * sum(ops.sum(v) for v in variables)}


def _gray(image):
    # A third of the work of all channels, whose structure is nearly the same.
    return ops.mean(image, axis=-1, keepdims=True)


def build(filters, dtype="float32"):
    """Return the network to train.

    Args:
        filters: Int, the width of the generator.
        dtype: Str, the dtype policy. Defaults to `"float32"`.
    """
    generator = keras_ctsdg.models.Generator(filters=filters, dtype=dtype)
    discriminator = keras_ctsdg.models.Discriminator(filters=4, dtype=dtype)
    for layer in batch_norms(generator):
        # Small batches need longer averages than the paper's momentum of 0.9.
        layer.momentum = 0.99
    return Restoration(generator, discriminator)


def batch_norms(generator):
    """Return the batch normalization layers of a generator."""
    kind = keras.layers.BatchNormalization
    return [layer for layer in generator.layers if isinstance(layer, kind)]


def learning_rate(first, last, steps, warmup):
    """Return a schedule that rises for a while and then falls along a cosine.

    Args:
        first: Float, the rate after the rise.
        last: Float, the rate after the last step.
        steps: Int, the number of all steps.
        warmup: Int, the number of steps of the rise.
    """
    warmup = min(warmup, steps // 2)
    return keras.optimizers.schedules.CosineDecay(
        first / 20,
        decay_steps=steps - warmup,
        alpha=last / first,
        warmup_target=first,
        warmup_steps=warmup,
    )


def average_statistics(generator, batches):
    """Set the statistics of batch normalization to their means over batches.

    Args:
        generator: A `keras_ctsdg.models.Generator`.
        batches: Iterable of dicts of `image`, `gray`, `edge` and `mask`.
    """
    norms = batch_norms(generator)
    before = [layer.momentum for layer in norms]
    for index, batch in enumerate(batches):
        for layer in norms:
            layer.momentum = index / (index + 1)
        generator(batch, training=True)
    for layer, momentum in zip(norms, before, strict=True):
        layer.momentum = momentum


def as_plain(generator):
    """Return a `keras_ctsdg.CTSDG` in float32 with the weights of a generator."""
    plain = keras_ctsdg.models.Generator(filters=generator.filters, dtype="float32")
    plain.set_weights(generator.get_weights())
    return keras_ctsdg.CTSDG(plain)
