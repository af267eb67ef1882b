"""How many pictures a second the data set brings: `python benchmarks/data.py`.

Writes a small tree of CelebA's layout (JPEGs of 178 x 218, masks of 512 x 512), then
times each stage and the whole, against a plain loop that does the same with Pillow
and scikit-image. All contestants take turns; the table shows medians.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
from keras.src.trainers.data_adapters.py_dataset_adapter import (  # noqa: E402
    PyDatasetAdapter,
)
from PIL import Image  # noqa: E402
from skimage import data  # noqa: E402
from skimage.color import rgb2gray  # noqa: E402
from skimage.feature import canny  # noqa: E402

from keras_ctsdg.data import RandomIrregularMasks, celeba, gray_and_edge  # noqa: E402

SIDE = 256
BATCH_SIZE = 6


def write_tree(root, pictures, masks):
    """Pieces of photographs as faces, drawn masks as NVIDIA's."""
    folders = ("img_align_celeba", "mask/testing_mask_dataset")
    for folder in folders:
        (root / folder).mkdir(parents=True)
    photos = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    rng = np.random.default_rng(0)
    lines = []
    for i in range(pictures):
        photo = photos[i % len(photos)]
        top = rng.integers(photo.shape[0] - 218 + 1)
        left = rng.integers(photo.shape[1] - 178 + 1)
        piece = Image.fromarray(photo[top : top + 218, left : left + 178])
        piece.save(root / folders[0] / f"{i:06d}.jpg", quality=90)
        lines.append(f"{i:06d}.jpg 2\n")
    (root / "list_eval_partition.txt").write_text("".join(lines))
    drawn = RandomIrregularMasks((0.05, 0.6))
    for i in range(masks):
        levels = (255 * drawn(i, (512, 512))[..., 0]).astype("uint8")
        Image.fromarray(levels).save(root / folders[1] / f"{i:05d}.png")


# === Contestants: each runs through all pictures once ===


def plain_loop(root):
    """What a script without this package would do."""
    faces = sorted((root / "img_align_celeba").iterdir())
    masks = sorted((root / "mask" / "testing_mask_dataset").iterdir())
    for start in range(0, len(faces), BATCH_SIZE):
        batch = []
        for i in range(start, min(start + BATCH_SIZE, len(faces))):
            picture = Image.open(faces[i]).convert("RGB").crop((0, 20, 178, 198))
            picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            levels = np.asarray(picture)
            image = levels.astype("float32") / 127.5 - 1
            gray = rgb2gray(levels)
            edge = canny(gray, sigma=2)
            mask = Image.open(masks[i % len(masks)]).convert("L")
            mask = mask.resize((SIDE, SIDE), Image.Resampling.NEAREST)
            hole = np.asarray(mask) / 255 >= 0.5
            batch.append(
                [image, *(x[..., None].astype("float32") for x in (gray, edge, hole))]
            )
        [np.stack(arrays) for arrays in zip(*batch, strict=True)]


def through_keras(dataset):
    """As `fit` takes it: through the queue of Keras' workers."""
    adapter = PyDatasetAdapter(dataset)
    adapter.on_epoch_begin()
    for _ in adapter._get_iterator():
        pass
    adapter.on_epoch_end()


def each(function, items):
    for item in items:
        function(item)


def contestants(root):
    """Names and what to time, for all pictures of the tree."""

    def open_tree(**kwargs):
        return celeba(root, "test", batch_size=BATCH_SIZE, image_size=SIDE, **kwargs)

    dataset = open_tree()
    places = range(len(dataset.images))
    paths = sorted((root / "img_align_celeba").iterdir())
    images = [dataset.item(i)["image"] for i in places]
    return {
        "read": lambda: each(Path.read_bytes, paths),
        "read and decode": lambda: each(dataset._picture, places),
        "edges": lambda: each(gray_and_edge, images),
        "masks": lambda: each(lambda i: dataset._mask(i % len(dataset.masks)), places),
        "plain loop": lambda: plain_loop(root),
        "1 worker": lambda: through_keras(dataset),
        "2 threads": lambda: through_keras(open_tree(workers=2)),
        "2 processes": lambda: through_keras(
            open_tree(workers=2, use_multiprocessing=True)
        ),
    }


def measure(pictures, rounds):
    """Pictures a second, a list a contestant."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_tree(root, pictures, masks=40)
        runs = contestants(root)
        rates = {name: [] for name in runs}
        for turn in range(rounds + 1):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                if turn:  # The first warms up.
                    rates[name].append(pictures / (time.perf_counter() - start))
        return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rates = measure(arguments.pictures, arguments.rounds)
    loop = statistics.median(rates["plain loop"])
    print(f"{os.cpu_count()} cores, {arguments.pictures} pictures, {SIDE} x {SIDE}")
    print(f"{'':16} pictures/s   lowest  highest  of plain loop")
    for name, values in rates.items():
        middle = statistics.median(values)
        print(
            f"{name:16} {middle:10.0f} {min(values):8.0f} {max(values):8.0f} "
            f"{middle / loop:10.2f}"
        )


if __name__ == "__main__":
    main()
