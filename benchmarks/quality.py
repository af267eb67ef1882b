"""Compare presets with methods that need no training, on your own images.

`python benchmarks/quality.py photos --out comparison` cuts crops out of all images of
the folder (or zip) `photos`, draws holes of three ranges of mask ratios into them and
fills them by the preset `demo`, OpenCV's two methods and scikit-image's. It writes

- `quality.md` and `quality.csv`: mean and median of PSNR and SSIM, and the share of
  crops on which the first preset is better;
- `samples.csv`: the scores of each crop;
- `sheet.jpg`: crops on which the first preset is best, usual and worst.

Crops and holes depend on `--seed` alone, so equal folders give equal tables. It needs
`pip install opencv-python-headless`.
"""

import argparse
import csv
import sys
from pathlib import Path

import keras
import numpy as np

# As a file it is run without the folder of the repository in the path.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras_ctsdg  # noqa: E402
from examples.demo_preset import card, evaluation  # noqa: E402
from keras_ctsdg.visualization import draw_grid  # noqa: E402

EACH = ("best", "usual", "worst")


def make_contestants(presets):
    """Return the methods to compare, of which the first is compared with the others.

    Args:
        presets: List of str: names or folders of presets, or `.keras` files.

    Returns:
        Dict of functions of image and hole by name, as
        `evaluation.classical_methods` returns it.
    """
    models = {
        name: keras_ctsdg.from_preset(name, with_discriminator=False)
        for name in presets
    }
    networks = {name: evaluation.network_method(x) for name, x in models.items()}
    return networks | evaluation.classical_methods()


def compare(contestants, crops, measures):
    """Measure all contestants on all crops.

    Args:
        contestants: Dict, as `make_contestants` returns it.
        crops: Dict, as `evaluation.open_crops` returns it.
        measures: As `evaluation.measure` takes it.

    Returns:
        Dict of contestants, as `evaluation.measure` returns them.
    """
    scores = {}
    for name, method in contestants.items():
        print(name, flush=True)
        scores[name] = evaluation.measure(method, crops, measures)
    return scores


# === Files ===


def write_tables(out, scores, crops):
    """Write `quality.md`, `quality.csv` and `samples.csv`.

    Args:
        out: `pathlib.Path` of a folder that exists.
        scores: Dict, as `compare` returns it.
        crops: Dict, as `evaluation.open_crops` returns it.
    """
    (out / "quality.md").write_text(evaluation.build_table(scores))
    write_csv(out / "quality.csv", evaluation.summarize(scores))
    write_csv(
        out / "samples.csv",
        [
            {
                "group": group,
                "image": crops[group].source_names(index)[0],
                "crop": index,
                "method": method,
                **{metric: values[index] for metric, values in lists.items()},
            }
            for method, groups in scores.items()
            for group, lists in groups.items()
            for index in range(crops[group].num_samples)
        ],
    )


def write_csv(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def draw_sheet(contestants, scores, crops):
    """Draw crops of each group on which the first contestant is best, usual and worst.

    Args:
        contestants: Dict, as `make_contestants` returns it.
        scores: Dict, as `compare` returns it.
        crops: Dict, as `evaluation.open_crops` returns it.

    Returns:
        `PIL.Image.Image`.
    """
    rows, captions = [], []
    for group, dataset in crops.items():
        gains = evaluation.gains(scores, group)
        ranked = np.argsort(-gains)
        for kind, position in zip(EACH, (0, len(ranked) // 2, -1), strict=True):
            index = int(ranked[position])
            rows.append(card.draw_columns(contestants, dataset, index))
            captions.append(
                f"{kind} at {group.replace('_', ' to ')} %: {gains[index]:+.2f} dB to "
                f"the best other method, {Path(dataset.source_names(index)[0]).name}"
            )
    columns = {title: np.stack([row[title] for row in rows]) for title in rows[0]}
    return draw_grid(columns, captions)


def main():
    """Compare with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder or zip of images")
    parser.add_argument("--out", type=Path, default=Path("comparison"))
    parser.add_argument(
        "--presets",
        nargs="+",
        default=["demo"],
        metavar="PRESET",
        help="names, folders or .keras files; the first is compared with all others",
    )
    parser.add_argument(
        "--crops", type=int, default=2, help="crops of each image, by default 2"
    )
    parser.add_argument("--image-size", type=int, default=256, help="of the crops")
    parser.add_argument("--seed", type=int, default=evaluation.SEED)
    parser.add_argument(
        "--lpips",
        nargs=2,
        type=Path,
        metavar=("VGG16", "CHANNELS"),
        help="measure LPIPS, too, by vgg16-397923af.pth of torchvision and vgg.pth of "
        "the package lpips",
    )
    arguments = parser.parse_args()
    if not sys.stdout.isatty():
        # A file would be filled with progress bars.
        keras.utils.disable_interactive_logging()
    images = keras_ctsdg.data.InpaintingDataset(arguments.images, edges=None).images
    crops = evaluation.open_crops(
        images, arguments.crops, arguments.image_size, arguments.seed
    )
    measures = dict(evaluation.METRICS)
    if arguments.lpips:
        from benchmarks.lpips import LPIPS

        measures["lpips"] = LPIPS(*arguments.lpips)
    contestants = make_contestants(arguments.presets)
    arguments.out.mkdir(parents=True, exist_ok=True)
    scores = compare(contestants, crops, measures)
    write_tables(arguments.out, scores, crops)
    sheet = draw_sheet(contestants, scores, crops)
    sheet.save(arguments.out / "sheet.jpg", quality=90)
    print((arguments.out / "quality.md").read_text())
    print(f"Written to {arguments.out}")


if __name__ == "__main__":
    main()
