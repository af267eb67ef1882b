"""Measure how many images a second the data set yields: `python benchmarks/data.py`.

Writes a small folder in CelebA's layout (JPEGs of 178 x 218, masks of 512 x 512), then
times each stage and the whole, and a plain loop that does the same with Pillow and
scikit-image. All of them take turns, and the table shows medians.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from skimage import data  # noqa: E402
from skimage.color import rgb2gray  # noqa: E402
from skimage.feature import canny  # noqa: E402

from keras_ctsdg.conventions import levels_to_image  # noqa: E402
from keras_ctsdg.data import RandomIrregularMasks, celeba, gray_and_edge  # noqa: E402

SIDE = 256
BATCH_SIZE = 6


def write_celeba(root, num_images, num_masks):
    """Write parts of photographs and random masks in CelebA's layout."""
    folders = ("img_align_celeba", "mask/testing_mask_dataset")
    for folder in folders:
        (root / folder).mkdir(parents=True)
    photos = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    rng = np.random.default_rng(0)
    lines = []
    for i in range(num_images):
        photo = photos[i % len(photos)]
        top = rng.integers(photo.shape[0] - 218 + 1)
        left = rng.integers(photo.shape[1] - 178 + 1)
        part = Image.fromarray(photo[top : top + 218, left : left + 178])
        part.save(root / folders[0] / f"{i:06d}.jpg", quality=90)
        lines.append(f"{i:06d}.jpg 2\n")
    (root / "list_eval_partition.txt").write_text("".join(lines))
    masks = RandomIrregularMasks((0.05, 0.6))
    for i in range(num_masks):
        levels = (255 * masks(i, (512, 512))[..., 0]).astype("uint8")
        Image.fromarray(levels).save(root / folders[1] / f"{i:05d}.png")


# === Contestants: each processes all images once ===


def plain_loop(root):
    """Do what a script without this package would do."""
    faces = sorted((root / "img_align_celeba").iterdir())
    masks = sorted((root / "mask" / "testing_mask_dataset").iterdir())
    for start in range(0, len(faces), BATCH_SIZE):
        batch = []
        for i in range(start, min(start + BATCH_SIZE, len(faces))):
            face = Image.open(faces[i]).convert("RGB").crop((0, 20, 178, 198))
            face = face.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            levels = np.asarray(face)
            image = levels_to_image(levels.astype("float32"))
            gray = rgb2gray(levels)
            edge = canny(gray, sigma=2)
            mask = Image.open(masks[i % len(masks)]).convert("L")
            mask = mask.resize((SIDE, SIDE), Image.Resampling.NEAREST)
            hole = np.asarray(mask) / 255 >= 0.5
            batch.append(
                [image, *(x[..., None].astype("float32") for x in (gray, edge, hole))]
            )
        [np.stack(arrays) for arrays in zip(*batch, strict=True)]


class NoOpModel(keras.Model):
    """A model that does nothing with its batches, so that only loading takes time."""

    def __init__(self):
        super().__init__()
        self.built = True
        self.compile(run_eagerly=True)

    def test_step(self, *arguments):
        # TensorFlow needs at least one value in the logs.
        logs = {"loss": keras.ops.zeros(())}
        # On JAX the arguments are the state and the batch, and the state is returned.
        return (logs, arguments[0]) if keras.backend.backend() == "jax" else logs


def evaluate_no_op(dataset):
    """Load all batches as `fit` does, with Keras' workers and conversion to tensors."""
    NoOpModel().evaluate(dataset, verbose=0)


def call_each(function, arguments):
    for argument in arguments:
        function(argument)


def contestants(root):
    """Return functions that process all images of the folder, by name."""

    def open_dataset(**kwargs):
        return celeba(root, "test", batch_size=BATCH_SIZE, image_size=SIDE, **kwargs)

    dataset = open_dataset()
    images, masks = dataset.images, dataset.masks
    indices = range(len(images))
    paths = sorted((root / "img_align_celeba").iterdir())
    arrays = [dataset.sample(i)["image"] for i in indices]

    def load_mask(index):
        return masks.load(index % len(masks), (SIDE, SIDE))

    return {
        "read": lambda: call_each(Path.read_bytes, paths),
        "read and decode": lambda: call_each(images.load, indices),
        "edges": lambda: call_each(gray_and_edge, arrays),
        "masks": lambda: call_each(load_mask, indices),
        "plain loop": lambda: plain_loop(root),
        "1 worker": lambda: evaluate_no_op(dataset),
        "2 threads": lambda: evaluate_no_op(open_dataset(workers=2)),
        "2 processes": lambda: evaluate_no_op(
            open_dataset(workers=2, use_multiprocessing=True)
        ),
    }


def measure(num_images, rounds):
    """Return lists of images per second by contestant."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_celeba(root, num_images, num_masks=40)
        functions = contestants(root)
        rates = {name: [] for name in functions}
        for i in range(rounds + 1):
            for name, function in functions.items():
                start = time.perf_counter()
                function()
                if i > 0:  # The first round is for caches.
                    rates[name].append(num_images / (time.perf_counter() - start))
        return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rates = measure(arguments.images, arguments.rounds)
    loop = statistics.median(rates["plain loop"])
    print(f"{os.cpu_count()} cores, {arguments.images} images, {SIDE} x {SIDE}")
    print(f"{'':16} images/s   lowest  highest  of plain loop")
    for name, values in rates.items():
        median = statistics.median(values)
        print(
            f"{name:16} {median:8.0f} {min(values):8.0f} {max(values):8.0f} "
            f"{median / loop:10.2f}"
        )


if __name__ == "__main__":
    main()
