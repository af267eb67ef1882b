from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from keras_ctsdg.cli.data import open_dataset

Rate = Annotated[float, typer.Option(min=0.0)]
Tenth = Annotated[
    float | None,
    typer.Option(min=0.0, help="A tenth of the generator's, if not given."),
]
Weight = Annotated[float, typer.Option(min=0.0, help="Weight of this loss.")]
Count = Annotated[int, typer.Option(min=1)]
Source = Annotated[Path | None, typer.Option(help="Folder or zip of pictures.")]
Masks = Annotated[
    Path | None, typer.Option(help="Folder or zip of masks; white is the hole.")
]


def train(
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    images: Source = None,
    masks: Masks = None,
    celeba: Annotated[
        Path | None, typer.Option(help="Folder of CelebA, in place of the two.")
    ] = None,
    validation_images: Source = None,
    validation_masks: Masks = None,
    image_size: Annotated[int, typer.Option(min=128, help="Side in pixels.")] = 256,
    batch_size: Count = 6,
    steps: Annotated[int, typer.Option(min=0)] = 350_000,
    fine_tuning_steps: Annotated[int, typer.Option(min=0)] = 150_000,
    steps_per_epoch: Annotated[
        int, typer.Option(min=1, help="An epoch ends with a sheet and a backup.")
    ] = 1000,
    learning_rate: Rate = 2e-4,
    fine_tuning_learning_rate: Rate = 5e-5,
    discriminator_learning_rate: Tenth = None,
    fine_tuning_discriminator_learning_rate: Tenth = None,
    hole_weight: Weight = 60.0,
    valid_weight: Weight = 10.0,
    perceptual_weight: Weight = 0.1,
    style_weight: Weight = 250.0,
    adversarial_weight: Weight = 0.1,
    intermediate_weight: Weight = 1.0,
    vgg: Annotated[
        str,
        typer.Option(
            help="`imagenet`, a file of VGG16's weights, or `none` for no such losses."
        ),
    ] = "imagenet",
    filters: Annotated[int, typer.Option(min=4, help="Width; 64 is full.")] = 64,
    upsampling: str = "half_pixel",
    edges: str = "clean",
    sigma: Annotated[float, typer.Option(help="Width of Canny's Gaussian.")] = 2.0,
    edges_on_device: Annotated[
        bool,
        typer.Option(
            "--edges-on-device", help="The model draws gray and edges, not the workers."
        ),
    ] = False,
    horizontal_flip: bool = False,
    mask_ratio: Annotated[
        tuple[float, float], typer.Option(help="Of masks drawn at random.")
    ] = (0.1, 0.4),
    policy: Annotated[str, typer.Option(help="Such as `mixed_bfloat16`.")] = "float32",
    workers: Count = 2,
    processes: Annotated[
        bool, typer.Option(help="Workers are processes, not threads.")
    ] = False,
    on_error: Annotated[
        str, typer.Option(help="`skip` goes on without unreadable files.")
    ] = "raise",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a finished training.")
    ] = False,
):
    """Train a CTSDG on pictures and masks; the defaults are the paper's.

    Writes model.keras, history.csv and sheets of samples after each epoch. If it
    is interrupted, the same command goes on after the last whole epoch. Without
    masks they are drawn at random.
    """
    import keras

    from keras_ctsdg import CTSDG, callbacks, data, models
    from keras_ctsdg.training.optimizer import get_optimizer

    model_path, backup = out / "model.keras", out / "backup"
    if model_path.exists() and not backup.exists() and not overwrite:
        raise ValueError(
            "--out must not hold a finished training, unless with --overwrite. "
            f"Received: --out {out}"
        )
    epochs = -(-steps // steps_per_epoch)
    total = epochs - (-fine_tuning_steps // steps_per_epoch)
    if total == 0:
        raise ValueError("There must be steps to train. Received: --steps 0")
    if validation_images is None and validation_masks is not None:
        raise ValueError(
            "--validation-masks needs --validation-images. "
            f"Received: --validation-masks {validation_masks}"
        )
    if celeba is not None and validation_images is not None:
        raise ValueError(
            "--celeba brings its own validation. Received: "
            f"--validation-images {validation_images} --celeba {celeba}"
        )
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(policy)
    if celeba is None and masks is None:
        masks = data.RandomIrregularMasks(mask_ratio, seed)
    shared = {
        "batch_size": batch_size,
        "image_size": image_size,
        **({"edges": None} if edges_on_device else {"edges": edges, "sigma": sigma}),
        "on_error": on_error,
        "workers": workers,
        "use_multiprocessing": processes,
    }
    dataset = open_dataset(
        images,
        masks,
        celeba,
        "train",
        horizontal_flip=horizontal_flip,
        steps_per_epoch=steps_per_epoch,
        seed=seed,
        **shared,
    )
    validation = None
    if celeba is not None:
        validation = data.celeba(celeba, "valid", **shared)
    elif validation_images is not None:
        if validation_masks is None:
            validation_masks = data.RandomIrregularMasks(mask_ratio, seed)
        validation = data.InpaintingDataset(
            validation_images, validation_masks, shuffle=False, **shared
        )
    model = CTSDG(
        models.Generator(filters=filters, upsampling=upsampling),
        models.Discriminator(filters=filters),
        edges=edges,
        sigma=sigma,
    )
    model.compile(
        generator_optimizer=get_optimizer(None, learning_rate),
        discriminator_optimizer=get_optimizer(
            None,
            learning_rate / 10
            if discriminator_learning_rate is None
            else discriminator_learning_rate,
        ),
        loss_weights={
            "hole": hole_weight,
            "valid": valid_weight,
            "perceptual": perceptual_weight,
            "style": style_weight,
            "adversarial": adversarial_weight,
            "intermediate": intermediate_weight,
        },
        perceptual_network=None if vgg == "none" else models.VGG16Features(vgg),
    )
    console = Console()
    console.print(
        f"{epochs} epochs of {steps_per_epoch} steps, then {total - epochs} of "
        f"fine-tuning; {len(dataset.images)} pictures, {batch_size} a step."
    )
    out.mkdir(parents=True, exist_ok=True)
    samples = (dataset if validation is None else validation)[0]
    try:
        with callbacks.GracefulInterrupt() as interrupt:
            model.fit(
                dataset,
                epochs=total,
                validation_data=validation,
                callbacks=[
                    interrupt,
                    callbacks.FineTuning(
                        epochs,
                        fine_tuning_learning_rate,
                        fine_tuning_discriminator_learning_rate,
                    ),
                    callbacks.Throughput(batch_size),
                    callbacks.SampleGrid(out / "samples", samples),
                    callbacks.ResumableCSVLogger(out / "history.csv"),
                    keras.callbacks.ModelCheckpoint(model_path),
                    # Last: an epoch counts once all of its files are written.
                    keras.callbacks.BackupAndRestore(backup, double_checkpoint=True),
                ],
            )
    except KeyboardInterrupt:
        Console(stderr=True).print(
            "\nInterrupted. The same command goes on after the last whole epoch."
        )
        raise typer.Exit(130) from None
    for name, reason in dataset.skipped.items():
        console.print(f"Skipped {name}: {reason}", markup=False, soft_wrap=True)
    console.print(f"Written to {out}", highlight=False, soft_wrap=True)
