"""The main job at small size: train on photographs, fill holes in others."""

from pathlib import Path

import keras
import numpy as np
from PIL import Image

from keras_ctsdg.ctsdg import CTSDG
from keras_ctsdg.data._batches import stack
from keras_ctsdg.data.edges import gray_and_edge
from keras_ctsdg.data.masks import RandomIrregularMasks
from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.visualization import before_after, draw_sheet

SIZE = 128
# Photographs that scikit-image ships: no download.
TRAINING_PHOTOS = (
    "camera",
    "coffee",
    "hubble_deep_field",
    "immunohistochemistry",
    "rocket",
)
UNSEEN_PHOTOS = ("chelsea", "astronaut")


class PhotoCrops(keras.utils.PyDataset):
    """Random crops of photographs under random masks.

    Args:
        photos: List of uint8 arrays `[H, W, 3]`, no side under 128.
        batch_size: Int.
        batches: Int, the number of batches; no two are alike.
        seed: Int; equal seeds give equal batches.
        **kwargs: Arguments of `keras.utils.PyDataset`.

    Yields:
        Dict of `image`, `gray`, `edge` and `mask`, as `keras_ctsdg.CTSDG` takes
        it.
    """

    def __init__(self, photos, batch_size, batches, seed, **kwargs):
        super().__init__(**kwargs)
        self.photos = photos
        self.batch_size = batch_size
        self.batches = batches
        self.seed = seed
        self.masks = RandomIrregularMasks((0.1, 0.35), seed)

    def __len__(self):
        return self.batches

    def __getitem__(self, index):
        first = index * self.batch_size
        items = [self._item(first + i) for i in range(self.batch_size)]
        return stack(items)

    def _item(self, index):
        rng = np.random.default_rng([self.seed, index])
        photo = self.photos[index % len(self.photos)]
        side = rng.integers(SIZE, min(photo.shape[:2]) + 1)
        top = rng.integers(photo.shape[0] - side + 1)
        left = rng.integers(photo.shape[1] - side + 1)
        crop = Image.fromarray(photo[top : top + side, left : left + side])
        crop = np.asarray(crop.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
        image = crop[:, :: rng.choice([-1, 1])].astype("float32") / 127.5 - 1
        gray, edge = gray_and_edge(image)
        mask = self.masks(index, (SIZE, SIZE))
        return {"image": image, "gray": gray, "edge": edge, "mask": mask}


def load_photos(names):
    """Photographs of scikit-image's, by name, as uint8 arrays `[H, W, 3]`."""
    from skimage import data

    photos = [Image.fromarray(getattr(data, name)()) for name in names]
    return [np.asarray(photo.convert("RGB")) for photo in photos]


def run_quickstart(out, seed=0, filters=8, batch_size=4, epochs=10, steps=10):
    """Trains a small CTSDG and fills holes in photographs it has not seen.

    Writes `model.keras`, `history.csv` and `before_after.png`.

    Args:
        out: Path of the folder for the three files; made if absent.
        seed: Int; equal seeds give equal losses. Defaults to `0`.
        filters: Int, the width of the networks, a multiple of 4. Defaults to `8`.
        batch_size: Int. Defaults to `4`.
        epochs: Int. Defaults to `10`.
        steps: Int, the number of batches an epoch. Defaults to `10`.

    Returns:
        Dict of the mean PSNR in dB, over the unseen pictures, of the `masked` ones
        (their holes gray) and of the `filled` ones.

    Raises:
        ValueError: If a number is out of range, or `out` is a file.
    """
    numbers = {"batch_size": batch_size, "epochs": epochs, "steps": steps}
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"`out` must be a folder. Received: out={out}, a file")
    keras.utils.set_random_seed(seed)
    # It has minutes, not days: five times the paper's learning rates.
    model = CTSDG(Generator(filters=filters), Discriminator(filters=filters))
    model.compile(
        generator_optimizer=keras.optimizers.Adam(1e-3),
        discriminator_optimizer=keras.optimizers.Adam(1e-4),
    )
    out.mkdir(parents=True, exist_ok=True)
    photos = load_photos(TRAINING_PHOTOS)
    unseen = PhotoCrops(load_photos(UNSEEN_PHOTOS), 4, 1, seed)[0]
    model.fit(
        PhotoCrops(photos, batch_size, epochs * steps, seed),
        epochs=epochs,
        steps_per_epoch=steps,
        shuffle=False,
        validation_data=unseen,
        callbacks=[keras.callbacks.CSVLogger(out / "history.csv")],
    )
    model.save(out / "model.keras")

    filled = model.predict(unseen, verbose=0)
    columns = before_after(unseen, filled)
    draw_sheet(columns).save(out / "before_after.png")
    return {
        "masked": psnr(columns["masked"], unseen["image"]),
        "filled": psnr(filled, unseen["image"]),
    }


def psnr(pictures, truth):
    """Mean peak signal-to-noise ratio of pictures in [-1, 1], in dB."""
    error = np.mean(np.square((pictures - truth) / 2), axis=(1, 2, 3))
    return float(np.mean(-10 * np.log10(np.maximum(error, 1e-10))))
