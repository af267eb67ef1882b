"""The published evaluation: a model against a data set, pair by pair."""

import csv
import json

import keras
import numpy as np

from keras_ctsdg import metrics
from keras_ctsdg.conventions import MASK_RATIO_BINS, image_to_unit
from keras_ctsdg.data._batches import stack
from keras_ctsdg.data.prefetch import prefetch
from keras_ctsdg.metrics import BEYOND
from keras_ctsdg.visualization import before_after, draw_sheet

METRICS = {
    "psnr": metrics.psnr,
    "ssim": metrics.ssim,
    "mae": metrics.mean_absolute_error,
}
GROUPS = (*MASK_RATIO_BINS, "overall")
# CelebA and NVIDIA's testing masks, as the authors of the MindSpore port measured.
PUBLISHED = {
    "MindSpore, Ascend 910A": {
        "psnr": (37.59, 29.08, 23.97, 31.47),
        "ssim": (0.977, 0.917, 0.822, 0.923),
    },
    "MindSpore, GPU": {
        "psnr": (38.04, 29.39, 24.21, None),
        "ssim": (0.979, 0.922, 0.830, None),
    },
}


def evaluate_pairs(model, dataset, limit=None):
    """Fills every picture of a data set and measures each.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        dataset: A `keras_ctsdg.data.InpaintingDataset` with `shuffle=False`.
        limit: Int, how many pictures at most. Defaults to all.

    Yields:
        Dict of a pair's `place` in the data set, the names `image` and `mask`, its
        `mask_ratio`, `psnr`, `ssim` and `mae`; `None` for a picture that is left
        out.
    """
    count = dataset.num_items if limit is None else min(limit, dataset.num_items)
    size = dataset.batch_size
    starts = range(0, count, size)
    batches = prefetch(
        lambda start: [dataset.item(i) for i in range(start, min(start + size, count))],
        starts,
    )
    for start, items in zip(starts, batches, strict=True):
        yield from [None] * items.count(None)
        places = [start + i for i, item in enumerate(items) if item is not None]
        if not places:
            continue
        batch = filled_up([item for item in items if item is not None], size)
        values = _measure(batch, model.predict_on_batch(batch))
        for i, place in enumerate(places):
            numbers = {name: float(value[i]) for name, value in values.items()}
            image, mask = dataset.names(place)
            yield {"place": place, "image": image, "mask": mask, **numbers}


def filled_up(items, size):
    """Items as a batch of one size, that nothing is compiled for a smaller one.

    Args:
        items: List of dicts of arrays, one at least.
        size: Int, at least their number; the last one fills the batch.

    Returns:
        Dict of arrays.
    """
    return stack(items + [items[-1]] * (size - len(items)))


def _measure(batch, filled):
    truth, picture = map(image_to_unit, (batch["image"], filled))
    values = {name: function(truth, picture) for name, function in METRICS.items()}
    values["mask_ratio"] = metrics.mask_ratio(batch["mask"])
    return {name: keras.ops.convert_to_numpy(x) for name, x in values.items()}


# === Summary ===


def group_of(mask_ratio):
    """The group of a pair, by the share of the picture that its hole covers."""
    for name, limit in MASK_RATIO_BINS.items():
        if mask_ratio <= np.float32(limit):
            return name
    return BEYOND


def summarize(pairs):
    """Means by mask ratio.

    Args:
        pairs: List of dicts, as `evaluate_pairs` yields them.

    Returns:
        Dict of `pairs`, `psnr`, `ssim` and `mae`, each a dict of the groups `0_20`,
        `20_40`, `40_60` and `overall`: how many, and the mean (`None` of none).
        `beyond_60` holds the names of pairs that are in no group.
    """
    groups = {name: [] for name in (*GROUPS, BEYOND)}
    for pair in pairs:
        groups["overall"].append(pair)
        groups[group_of(pair["mask_ratio"])].append(pair)
    summary = {"samples": {name: len(groups[name]) for name in GROUPS}}
    for metric in METRICS:
        summary[metric] = {
            name: float(np.mean([pair[metric] for pair in groups[name]]))
            if groups[name]
            else None
            for name in GROUPS
        }
    summary[BEYOND] = [[pair["image"], pair["mask"]] for pair in groups[BEYOND]]
    return summary


def table_rows(summary):
    """The table: ours and, beside it, the published figures.

    Args:
        summary: Dict, as `summarize` returns it.

    Returns:
        List of rows: metric, whose, then a number or `None` for each of the groups.
    """
    rows = [("samples", "this model", *(summary["samples"][name] for name in GROUPS))]
    for metric in METRICS:
        ours = (summary[metric][name] for name in GROUPS)
        rows.append((metric, "this model", *ours))
        for name, figures in PUBLISHED.items():
            if metric in figures:
                rows.append((metric, name, *figures[metric]))
    return rows


# === Files ===


def write_results(out, pairs, skipped):
    """Writes `evaluation.json`, `evaluation.csv` and `pairs.csv`.

    Args:
        out: `pathlib.Path` of a folder that exists.
        pairs: List of dicts, as `evaluate_pairs` yields them.
        skipped: Dict of the names of pictures that were left out, and why.

    Returns:
        The summary, as `summarize` returns it.
    """
    summary = summarize(pairs)
    report = {**summary, "published": _published(), "skipped": skipped}
    (out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    with open(out / "evaluation.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("metric", "source", *GROUPS))
        writer.writerows(table_rows(summary))
    with open(out / "pairs.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(pairs[0]))
        writer.writeheader()
        writer.writerows(pairs)
    return summary


def _published():
    return {
        source: {
            metric: dict(zip(GROUPS, figures, strict=True))
            for metric, figures in rows.items()
        }
        for source, rows in PUBLISHED.items()
    }


def draw_extremes(model, dataset, pairs, each=3):
    """A sheet of the best, the median and the worst pairs by PSNR.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        dataset: The data set that was evaluated.
        pairs: List of dicts, as `evaluate_pairs` yields them, one at least.
        each: Int, how many of each kind at most. Defaults to `3`.

    Returns:
        `PIL.Image.Image`.
    """
    ranked = sorted(pairs, key=lambda pair: -pair["psnr"])
    each = min(each, -(-len(ranked) // 3))
    middle = max(0, len(ranked) // 2 - each // 2)
    chosen = {
        "best": ranked[:each],
        "median": ranked[middle : middle + each],
        "worst": ranked[-each:],
    }
    captions, shown = [], []
    for kind, some in chosen.items():
        for pair in some:
            batch = filled_up([dataset.item(pair["place"])], dataset.batch_size)
            columns = before_after(batch, model.predict_on_batch(batch))
            shown.append({name: pictures[0] for name, pictures in columns.items()})
            captions.append(
                f"{kind}: {pair['psnr']:.2f} dB, hole {pair['mask_ratio']:.0%}"
            )
    columns = {name: np.stack([row[name] for row in shown]) for name in shown[0]}
    return draw_sheet(columns, captions)
