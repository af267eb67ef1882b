"""Compare the network with inpainting that needs no training, on test photographs."""

import json

import keras
import numpy as np

from keras_ctsdg import metrics
from keras_ctsdg.visualization import image_to_uint8

from .data import fixed_crops

GROUPS = {"0_20": (0.01, 0.2), "20_40": (0.2, 0.4), "40_60": (0.4, 0.6)}
CROPS_PER_PHOTOGRAPH = 2
SEED = 2021
# Means are no use with infinite values, which a method has that guesses exactly.
HIGHEST_PSNR = 60.0


def classical_methods():
    """Return the methods to compare with: functions of image and hole by name.

    An image is a uint8 array `[H, W, 3]`, and a hole a bool array `[H, W]`.
    """
    import cv2
    from skimage.restoration import inpaint_biharmonic

    def opencv(radius, flag):
        def fill(image, hole):
            return cv2.inpaint(image, hole.astype("uint8"), radius, flag)

        return fill

    def biharmonic(image, hole):
        filled = inpaint_biharmonic(image / 255, hole, channel_axis=-1)
        return np.rint(np.clip(filled, 0, 1) * 255).astype("uint8")

    return {
        "Telea, radius 3": opencv(3, cv2.INPAINT_TELEA),
        "Telea, radius 8": opencv(8, cv2.INPAINT_TELEA),
        "Navier-Stokes, radius 3": opencv(3, cv2.INPAINT_NS),
        "Navier-Stokes, radius 8": opencv(8, cv2.INPAINT_NS),
        "biharmonic": biharmonic,
    }


def network_method(model):
    """Return a function of image and hole, as `classical_methods` has them."""
    return lambda image, hole: model.inpaint(image, hole)


def open_crops(photos):
    """Return a data set of crops for each group of mask ratios.

    The crops are the same in each group.

    Args:
        photos: List of paths of photographs.

    Returns:
        Dict of `keras_ctsdg.data.InpaintingDataset`s.
    """
    count = CROPS_PER_PHOTOGRAPH * len(photos)
    return {
        group: fixed_crops(photos, count, mask_ratio=ratios, seed=SEED)
        for group, ratios in GROUPS.items()
    }


def measure(method, crops):
    """Fill all crops by a method.

    Args:
        method: Function, as `classical_methods` returns them.
        crops: Dict of data sets, as `open_crops` returns it.

    Returns:
        Dict of groups, each a dict of the lists `psnr` and `ssim`, in the order of
        the crops.
    """
    progress = keras.utils.Progbar(sum(x.num_samples for x in crops.values()))
    scores = {}
    for group, dataset in crops.items():
        scores[group] = {"psnr": [], "ssim": []}
        for index in range(dataset.num_samples):
            image, hole = image_and_hole(dataset, index)
            filled = method(image, hole)
            pair = [x[None].astype("float32") / 255 for x in (image, filled)]
            psnr = min(float(metrics.psnr(*pair)[0]), HIGHEST_PSNR)
            scores[group]["psnr"].append(psnr)
            scores[group]["ssim"].append(float(metrics.ssim(*pair)[0]))
            progress.add(1)
    return scores


def image_and_hole(dataset, index):
    """Return a crop as a uint8 array `[H, W, 3]` and its hole, bool `[H, W]`."""
    sample = dataset.sample(index)
    return image_to_uint8(sample["image"]), sample["mask"][..., 0] > 0


def measure_all(model, photos, work):
    """Measure the network and, unless it was done before, the other methods.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        photos: List of paths of photographs.
        work: `pathlib.Path` of the working folder, where scores are kept.

    Returns:
        Dict of methods, `"demo"` the first, as `measure` returns them.
    """
    crops = open_crops(photos)
    print("demo")
    scores = {"demo": measure(network_method(model), crops)}
    kept = work / "classical_scores.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    # Scores of other crops would be wrong.
    key = f"{SEED} {CROPS_PER_PHOTOGRAPH} {[path.name for path in photos]}"
    classical = known.get(key, {})
    for name, method in classical_methods().items():
        if name not in classical:
            print(name)
            classical[name] = measure(method, crops)
            kept.write_text(json.dumps({key: classical}))
    return scores | classical


# === Table ===


def build_table(scores):
    """Return a table of the scores, in Markdown.

    Args:
        scores: Dict, as `measure_all` returns it.

    Returns:
        Str: for each group, mean and median of each method, and the share of crops
        on which the network is better.
    """
    lines = []
    network = next(iter(scores))
    for group in GROUPS:
        count = len(scores[network][group]["psnr"])
        lines += [
            f"Mask ratio {group.replace('_', ' to ')} %, {count} crops:",
            "",
            f"| | PSNR, mean | median | {network} better | SSIM, mean | median "
            f"| {network} better |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, groups in scores.items():
            cells = []
            for metric, digits in (("psnr", 2), ("ssim", 4)):
                values = np.array(groups[group][metric])
                wins = np.mean(np.array(scores[network][group][metric]) > values)
                share = "" if name == network else f"{wins:.0%}"
                cells += [f"{values.mean():.{digits}f}"]
                cells += [f"{np.median(values):.{digits}f}", share]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def margins(scores):
    """Return by how much the network's means are above the best of the others.

    Args:
        scores: Dict, as `measure_all` returns it.

    Returns:
        Dict of groups, each a dict of `psnr` in dB and of `ssim`.
    """
    network, *others = scores
    return {
        group: {
            metric: float(
                np.mean(scores[network][group][metric])
                - max(np.mean(scores[name][group][metric]) for name in others)
            )
            for metric in ("psnr", "ssim")
        }
        for group in GROUPS
    }
