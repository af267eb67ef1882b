"""Train a small model on sample photographs and fill holes in others."""

import warnings
from pathlib import Path

import keras

from keras_ctsdg import metrics
from keras_ctsdg._checks import check_positive, check_writable_folder
from keras_ctsdg.conventions import image_to_unit
from keras_ctsdg.ctsdg import CTSDG
from keras_ctsdg.data import InpaintingDataset, RandomIrregularMasks
from keras_ctsdg.data.sample_photos import load_sample_photos
from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.training.verbosity import resolve_verbosity
from keras_ctsdg.visualization import comparison_columns, draw_grid

IMAGE_SIZE = 128
MASK_RATIO = (0.1, 0.35)
TRAINING_PHOTOS = (
    "camera",
    "coffee",
    "hubble_deep_field",
    "immunohistochemistry",
    "rocket",
)
UNSEEN_PHOTOS = ("chelsea", "astronaut")


def open_dataset(photos, seed=0, **kwargs):
    """Return a data set of random crops of sample photographs.

    Args:
        photos: Iterable of names, as `load_sample_photos` takes them.
        seed: Int, of the crops and the masks. Defaults to `0`.
        **kwargs: Further arguments of `keras_ctsdg.data.InpaintingDataset`.

    Returns:
        `keras_ctsdg.data.InpaintingDataset` of images of 128 x 128.
    """
    return InpaintingDataset(
        load_sample_photos(photos),
        RandomIrregularMasks(MASK_RATIO, seed),
        image_size=IMAGE_SIZE,
        crop="random",
        horizontal_flip=True,
        seed=seed,
        **kwargs,
    )


def run_quickstart(
    out, seed=0, filters=8, batch_size=4, epochs=10, steps=10, verbose="auto"
):
    """Train a small CTSDG and fill holes in photographs it was not trained on.

    Writes `model.keras`, `history.csv` and `before_after.png`.

    Args:
        out: Path of the folder for the three files; created if it does not exist.
        seed: Int; equal seeds give equal losses. Defaults to `0`.
        filters: Int, the width of the networks, a multiple of 4. Defaults to `8`.
        batch_size: Int. Defaults to `4`.
        epochs: Int. Defaults to `10`.
        steps: Int, the number of batches in an epoch. Defaults to `10`.
        verbose: Int as `fit` takes it, or `"auto"` for a progress bar in a terminal
            and one line per epoch elsewhere. Defaults to `"auto"`.

    Returns:
        Dict of the mean PSNR in dB of the `masked` unseen images, with gray holes,
        and of the `filled` ones.

    Raises:
        ValueError: If a number is out of range, or `out` is a file.
    """
    for name, value in (
        ("batch_size", batch_size),
        ("epochs", epochs),
        ("steps", steps),
    ):
        check_positive(name, value)
    out = Path(out)
    check_writable_folder("out", out)
    keras.utils.set_random_seed(seed)
    # Five times the paper's learning rates, for minutes of training in place of days.
    model = CTSDG(Generator(filters=filters), Discriminator(filters=filters))
    with warnings.catch_warnings():
        # VGG16's weights would be a download, so it trains without them on purpose.
        warnings.filterwarnings("ignore", "`perceptual_network=None`")
        model.compile(
            generator_optimizer=keras.optimizers.Adam(1e-3),
            discriminator_optimizer=keras.optimizers.Adam(1e-4),
        )
    out.mkdir(parents=True, exist_ok=True)
    training = open_dataset(
        TRAINING_PHOTOS, seed, batch_size=batch_size, steps_per_epoch=steps
    )
    unseen = unseen_batch(seed)
    model.fit(
        training,
        epochs=epochs,
        validation_data=unseen,
        verbose=resolve_verbosity(verbose),
        callbacks=[keras.callbacks.CSVLogger(out / "history.csv")],
    )
    model.save(out / "model.keras")

    filled = model.predict(unseen, verbose=0)
    columns = comparison_columns(unseen, filled)
    draw_grid(columns).save(out / "before_after.png")
    return {name: mean_psnr(unseen, columns[name]) for name in ("masked", "filled")}


def unseen_batch(seed=0):
    """Return a batch of two crops of each photograph that is not trained on."""
    dataset = open_dataset(
        UNSEEN_PHOTOS, seed, batch_size=4, steps_per_epoch=1, shuffle=False
    )
    return dataset[0]


def mean_psnr(batch, images):
    """Return the mean PSNR in dB of images `[B, H, W, 3]` in [-1, 1].

    Args:
        batch: Dict of arrays with the targets, `image` `[B, H, W, 3]` in [-1, 1].
        images: Float array of the same shape.
    """
    psnr = metrics.psnr(image_to_unit(batch["image"]), image_to_unit(images))
    return float(keras.ops.mean(psnr))
