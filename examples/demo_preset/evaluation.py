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
# Title and digits in a table of each metric, and whether more of it is better.
TITLES = {
    "psnr": ("PSNR", 2, True),
    "ssim": ("SSIM", 4, True),
    "lpips": ("LPIPS", 4, False),
}


def limited_psnr(target, filled):
    """Compute the PSNR of each sample, at most `HIGHEST_PSNR`.

    Args:
        target, filled: As `keras_ctsdg.metrics.psnr` takes them.

    Returns:
        Float tensor `[B]`, in dB.
    """
    return keras.ops.minimum(metrics.psnr(target, filled), HIGHEST_PSNR)


METRICS = {"psnr": limited_psnr, "ssim": metrics.ssim}


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


def open_crops(photos, each=CROPS_PER_PHOTOGRAPH, image_size=256, seed=SEED):
    """Return a data set of crops for each group of mask ratios.

    The crops are the same in each group.

    Args:
        photos: List of paths of photographs, or the `images` of a
            `keras_ctsdg.data.InpaintingDataset`.
        each: Int, the number of crops of each photograph. Defaults to `2`.
        image_size: Int. Defaults to `256`.
        seed: Int, of crops and masks. Defaults to `2021`.

    Returns:
        Dict of `keras_ctsdg.data.InpaintingDataset`s.
    """
    count = each * len(photos)
    return {
        group: fixed_crops(photos, count, image_size, ratios, seed)
        for group, ratios in GROUPS.items()
    }


def measure(method, crops, measures=METRICS):
    """Fill all crops by a method.

    Args:
        method: Function, as `classical_methods` returns them.
        crops: Dict of data sets, as `open_crops` returns it.
        measures: Dict of functions of two batches in [0, 1], target and result, that
            return a value for each sample. Defaults to PSNR and SSIM.

    Returns:
        Dict of groups, each a dict of the lists of `measures`, in the order of the
        crops.
    """
    progress = keras.utils.Progbar(sum(x.num_samples for x in crops.values()))
    scores = {}
    for group, dataset in crops.items():
        scores[group] = {metric: [] for metric in measures}
        for index in range(dataset.num_samples):
            image, hole = image_and_hole(dataset, index)
            filled = method(image, hole)
            pair = [x[None].astype("float32") / 255 for x in (image, filled)]
            for metric, function in measures.items():
                scores[group][metric].append(float(function(*pair)[0]))
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


def summarize(scores):
    """Return mean, median and wins of each method, group and metric.

    Args:
        scores: Dict of methods, as `measure` returns them. The first is compared with
            each of the others.

    Returns:
        List of dicts: `group`, `method`, `metric`, `crops`, `mean`, `median` and
        `better`, the share of crops on which the first method is better; `None` for
        itself.
    """
    first, rows = next(iter(scores)), []
    for group in GROUPS:
        for method, groups in scores.items():
            for metric, values in groups[group].items():
                own, values = np.array(scores[first][group][metric]), np.array(values)
                wins = own > values if TITLES[metric][2] else own < values
                rows.append(
                    {
                        "group": group,
                        "method": method,
                        "metric": metric,
                        "crops": len(values),
                        "mean": float(values.mean()),
                        "median": float(np.median(values)),
                        "better": None if method == first else float(wins.mean()),
                    }
                )
    return rows


def build_table(scores):
    """Return a table of the scores, in Markdown.

    Args:
        scores: Dict, as `summarize` takes it.

    Returns:
        Str: for each group, mean and median of each method, and the share of crops
        on which the first method is better.
    """
    rows, lines = summarize(scores), []
    network = next(iter(scores))
    measures = list(dict.fromkeys(row["metric"] for row in rows))
    heads = [f"{TITLES[x][0]}, mean | median | {network} better" for x in measures]
    for group in GROUPS:
        members = [row for row in rows if row["group"] == group]
        lines += [
            f"Mask ratio {group.replace('_', ' to ')} %, {members[0]['crops']} crops:",
            "",
            f"| | {' | '.join(heads)} |",
            "|---" * (1 + 3 * len(measures)) + "|",
        ]
        for name in scores:
            cells = []
            for row in (row for row in members if row["method"] == name):
                digits = TITLES[row["metric"]][1]
                share = "" if row["better"] is None else f"{row['better']:.0%}"
                cells += [f"{row[x]:.{digits}f}" for x in ("mean", "median")] + [share]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def gains(scores, group):
    """Return the PSNR of the first method less that of the best other on each crop.

    Args:
        scores: Dict, as `summarize` takes it, of at least two methods.
        group: Str, the group of mask ratios.

    Returns:
        Float array, in dB, in the order of the crops.
    """
    network, *others = (groups[group]["psnr"] for groups in scores.values())
    return np.array(network) - np.max(others, axis=0)


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
