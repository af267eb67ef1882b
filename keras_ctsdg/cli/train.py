from dataclasses import replace
from pathlib import Path
from typing import Annotated

import keras
import typer

from keras_ctsdg import CTSDG, callbacks, data, from_preset, models
from keras_ctsdg.cli._console import print_line
from keras_ctsdg.cli._distribution import start_distribution
from keras_ctsdg.cli._options import options_from
from keras_ctsdg.cli._stops import explained_stops
from keras_ctsdg.cli._train_options import CropChoice, TrainOptions
from keras_ctsdg.cli._train_output import (
    check_output,
    copy_best,
    make_checkpoint,
    prepare_output,
)
from keras_ctsdg.cli._train_report import make_reports
from keras_ctsdg.cli.data import open_dataset
from keras_ctsdg.conventions import Edges, Upsampling
from keras_ctsdg.data.pairs import open_images_and_masks
from keras_ctsdg.export.exported_model import refuse_exported_file
from keras_ctsdg.training import distribution
from keras_ctsdg.training.checkpoint_files import MODEL
from keras_ctsdg.training.optimizer import get_optimizer

# Of a training that starts from random weights.
NETWORK_DEFAULTS = {
    "filters": 64,
    "upsampling": Upsampling.HALF_PIXEL,
    "edges": Edges.CLEAN,
    "sigma": 2.0,
}


@options_from(TrainOptions)
def train(
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a finished training.")
    ] = False,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help="Resume with options that differ from those of the checkpoint.",
        ),
    ] = False,
    **options,
):
    """Train a CTSDG on images and masks. The defaults are the paper's.

    Writes model.keras, best.keras (of the epoch with the best validation PSNR),
    history.csv and, after each epoch, a grid of samples. Run again after an
    interruption, the same command continues from the newest checkpoint; Ctrl-C,
    SIGTERM and SIGHUP write one before they end the training. Without --masks, masks
    are random. With --from, the training goes on from the weights of a preset, the
    discriminator's too where it has one. `torchrun -m keras_ctsdg.cli train` and
    --distribute train on several devices.
    """
    options, out = TrainOptions(**options), out.expanduser()
    _check_validation(options)
    refuse_exported_file(options.from_preset, "--from")
    first_stage, epochs = _count_epochs(options)
    check_output(out, overwrite, epochs)
    keras.config.set_dtype_policy(options.policy)
    keras.utils.set_random_seed(options.seed)
    with start_distribution(options):
        # First, because what is wrong with its file should be known at once.
        vgg = None if options.vgg == "none" else models.VGG16Features(options.vgg)
        preset, options = _load_preset(options)
        model = _make_model(options, vgg, preset)
    dataset, validation = _open_datasets(options, out)
    print_line(
        f"{first_stage} epochs of {options.steps_per_epoch} steps, then "
        f"{epochs - first_stage} of fine-tuning; {len(dataset.images)} images, "
        f"{options.batch_size} in a batch."
    )
    if distribution.is_main_process():
        prepare_output(out, epochs)
    samples = (dataset if validation is None else validation)[0]
    checkpoint = make_checkpoint(out, options, validation, accept_changes)
    others = _make_callbacks(out, options, first_stage, samples, validation, checkpoint)
    with explained_stops(out, checkpoint) as interrupt:
        model.fit(
            dataset,
            epochs=epochs,
            validation_data=validation,
            verbose=0,
            callbacks=[interrupt, *others, checkpoint],
        )
        best = copy_best(out, checkpoint) if checkpoint.is_writer else ""
        # Last, because a training whose model is there counts as finished.
        model.save(out / MODEL)
    for name, reason in dataset.skipped.items():
        print_line(f"Skipped {name}: {reason}")
    print_line(f"Written to {out}{best}")


def _check_validation(options):
    images, masks = options.validation_images, options.validation_masks
    if images is None and masks is not None:
        raise ValueError(
            "--validation-masks needs --validation-images. "
            f"Received: --validation-masks {masks}"
        )
    if options.celeba is not None and images is not None:
        raise ValueError(
            "--celeba has its own validation images. Received: "
            f"--validation-images {images} --celeba {options.celeba}"
        )


def _count_epochs(options):
    """Return the number of epochs of the first stage and of both stages."""
    # Rounded up
    first_stage = -(-options.steps // options.steps_per_epoch)
    epochs = first_stage - (-options.fine_tuning_steps // options.steps_per_epoch)
    if epochs == 0:
        raise ValueError(
            "--steps or --fine-tuning-steps must be positive. "
            "Received: --steps 0 --fine-tuning-steps 0"
        )
    return first_stage, epochs


def _load_preset(options):
    """Return the model of --from or `None`, and the options with what it decides."""
    if options.from_preset is None:
        preset, decided = None, NETWORK_DEFAULTS
    else:
        preset = from_preset(options.from_preset, dtype=options.policy)
        decided = {
            "filters": preset.generator.filters,
            "upsampling": Upsampling(preset.generator.upsampling),
            "edges": Edges(preset.edges),
            "sigma": preset.sigma,
        }
    given = {name: getattr(options, name) for name in decided}
    given = {name: value for name, value in given.items() if value is not None}
    for name, value in given.items():
        if preset is not None and value != decided[name]:
            raise ValueError(
                f"--{name} must be left out with --from, whose networks have "
                f"{decided[name]}. Received: --{name} {value} "
                f"--from {options.from_preset}"
            )
    return preset, replace(options, **(decided | given))


def _open_datasets(options, out):
    """Return the training data and the validation data, which may be `None`."""
    shared = {
        "batch_size": options.batch_size // distribution.process_count(),
        "shard": distribution.shard(),
        "image_size": options.image_size,
        "on_error": options.on_error,
        "workers": options.workers,
        "use_multiprocessing": options.processes,
        "edges": None,
    }
    if not options.edges_on_device:
        shared |= {"edges": options.edges, "sigma": options.sigma}
    is_whole = options.crop == CropChoice.NONE
    random_masks = data.RandomIrregularMasks(options.mask_ratio, options.seed)
    masks = options.masks
    if options.celeba is None and masks is None:
        masks = random_masks
    training = open_dataset(
        options.images,
        masks,
        options.celeba,
        "train",
        [out, *filter(None, (options.validation_images, options.validation_masks))],
        crop=None if is_whole else options.crop,
        horizontal_flip=options.horizontal_flip,
        steps_per_epoch=options.steps_per_epoch,
        seed=options.seed,
        **shared,
    )
    # Never a random crop: every epoch is validated on the same samples.
    shared |= {"crop": None if is_whole else CropChoice.CENTER, "shuffle": False}
    if options.celeba is not None:
        return training, data.celeba(options.celeba, "valid", **shared)
    if options.validation_images is None:
        return training, None
    masks = options.validation_masks or random_masks
    images, masks = open_images_and_masks(options.validation_images, masks, [out])
    return training, data.InpaintingDataset(images, masks, **shared)


def _make_model(options, vgg, preset):
    """Return a compiled `keras_ctsdg.CTSDG`, with the networks of a preset if any."""
    if preset is None:
        generator = models.Generator(
            filters=options.filters, upsampling=options.upsampling
        )
        discriminator = None
    else:
        generator, discriminator = preset.generator, preset.discriminator
    if discriminator is None:
        discriminator = models.Discriminator(filters=options.filters)
    model = CTSDG(generator, discriminator, edges=options.edges, sigma=options.sigma)
    discriminator_learning_rate = options.discriminator_learning_rate
    if discriminator_learning_rate is None:
        discriminator_learning_rate = options.learning_rate / 10
    model.compile(
        generator_optimizer=get_optimizer(None, options.learning_rate),
        discriminator_optimizer=get_optimizer(None, discriminator_learning_rate),
        loss_weights={
            "hole": options.hole_weight,
            "valid": options.valid_weight,
            "perceptual": options.perceptual_weight,
            "style": options.style_weight,
            "adversarial": options.adversarial_weight,
            "intermediate": options.intermediate_weight,
        },
        perceptual_network=vgg,
    )
    return model


def _make_callbacks(out, options, first_stage, samples, validation, checkpoint):
    return [
        callbacks.StopOnBadSteps(options.max_bad_steps, lambda: checkpoint.latest),
        callbacks.FineTuning(
            first_stage,
            options.fine_tuning_learning_rate,
            options.fine_tuning_discriminator_learning_rate,
        ),
        *make_reports(out, options, samples, validation),
    ]
