"""The published evaluation: measure a model on every sample of a data set."""

import csv
import json
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_ctsdg import metrics
from keras_ctsdg.conventions import MASK_RATIO_BINS, image_to_unit
from keras_ctsdg.data._batches import pad_batch
from keras_ctsdg.data._checks import check_shard
from keras_ctsdg.data.prefetch import prefetch
from keras_ctsdg.metrics import BEYOND
from keras_ctsdg.visualization import comparison_columns, draw_grid

METRICS = {
    "psnr": metrics.psnr,
    "ssim": metrics.ssim,
    "mae": metrics.mean_absolute_error,
}
GROUPS = (*MASK_RATIO_BINS, "overall")
# On CelebA with NVIDIA's testing masks, by the authors of the MindSpore port.
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


class BatchScores(NamedTuple):
    """The scores of a batch.

    Args:
        start: Int, the index of its first sample in the data set.
        samples: List of dicts, one for each sample: its `index` in the data set, the
            names `image` and `mask`, its `mask_ratio` in [0, 1], `psnr` in dB, `ssim`
            and `mae`; `None` for an image that is skipped.
        skipped: Dict of the reasons why files were skipped that no batch before had,
            by name.
    """

    start: int
    samples: list
    skipped: dict


def batch_starts(dataset, limit=None, shard=(0, 1)):
    """Return where the batches of an evaluation start.

    Args:
        dataset: A `keras_ctsdg.data.InpaintingDataset` with `shuffle=False`.
        limit: Int, the maximum number of samples. Defaults to `None`, all.
        shard: Tuple `(rank, count)`: every `count`-th batch from the one at index
            `rank` on. Whole batches, so that each is computed as in one process.
            Defaults to `(0, 1)`.

    Returns:
        Range of the indices of first samples.
    """
    rank, count = check_shard(shard)
    return range(0, count_samples(dataset, limit), dataset.batch_size)[rank::count]


def count_samples(dataset, limit=None):
    """Return the number of samples of an evaluation, as `batch_starts` takes them."""
    return dataset.num_samples if limit is None else min(limit, dataset.num_samples)


def evaluate_batches(model, dataset, starts, limit=None):
    """Fill the images of batches and measure each result.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        dataset, limit: As `batch_starts` takes them.
        starts: Iterable of int, of those that it returns.

    Yields:
        `BatchScores`, in the order of `starts`.
    """
    size, count = dataset.batch_size, count_samples(dataset, limit)

    def load(start):
        known = len(dataset.skipped)
        indices = range(start, min(start + size, count))
        samples = {i: dataset.sample(i) for i in indices}
        names = {i: dataset.source_names(i) for i in indices}
        return samples, names, dict(list(dataset.skipped.items())[known:])

    for start, loaded in zip(starts, prefetch(load, starts), strict=True):
        samples, names, skipped = loaded
        used = {i: x for i, x in samples.items() if x is not None}
        rows = dict.fromkeys(samples)
        if used:
            batch = pad_batch(list(used.values()), size)
            values = _measure(batch, model.predict_on_batch(batch))
            for row, index in enumerate(used):
                scores = {name: float(value[row]) for name, value in values.items()}
                image, mask = names[index]
                rows[index] = {"index": index, "image": image, "mask": mask, **scores}
        yield BatchScores(start, list(rows.values()), skipped)


def _measure(batch, filled):
    target, filled = map(image_to_unit, (batch["image"], filled))
    values = {name: function(target, filled) for name, function in METRICS.items()}
    values["mask_ratio"] = metrics.mask_ratio(batch["mask"])
    return {name: keras.ops.convert_to_numpy(x) for name, x in values.items()}


# === Summary ===


def mask_ratio_group(mask_ratio):
    """Return the name of the group of a mask ratio in [0, 1]."""
    for name, limit in MASK_RATIO_BINS.items():
        if mask_ratio <= np.float32(limit):
            return name
    return BEYOND


def summarize(samples):
    """Average the scores of samples by mask ratio.

    Args:
        samples: List of dicts, as `BatchScores` has them.

    Returns:
        Dict of `samples`, `psnr`, `ssim` and `mae`, each a dict of the groups `0_20`,
        `20_40`, `40_60` and `overall`: the number of samples, or their mean (`None`
        for an empty group). `beyond_60` lists the names of samples in no group.
    """
    groups = {name: [] for name in (*GROUPS, BEYOND)}
    for sample in samples:
        groups["overall"].append(sample)
        groups[mask_ratio_group(sample["mask_ratio"])].append(sample)
    summary: dict[str, Any] = {"samples": {name: len(groups[name]) for name in GROUPS}}
    for metric in METRICS:
        summary[metric] = {
            name: float(np.mean([sample[metric] for sample in groups[name]]))
            if groups[name]
            else None
            for name in GROUPS
        }
    summary[BEYOND] = [[sample["image"], sample["mask"]] for sample in groups[BEYOND]]
    return summary


def table_rows(summary):
    """Return a table of a summary, with the published figures beside it.

    Args:
        summary: Dict, as `summarize` returns it.

    Returns:
        List of rows: metric, source, then a number or `None` for each group.
    """
    rows = [("samples", "this model", *(summary["samples"][name] for name in GROUPS))]
    for metric in METRICS:
        means = (summary[metric][name] for name in GROUPS)
        rows.append((metric, "this model", *means))
        for source, figures in PUBLISHED.items():
            if metric in figures:
                rows.append((metric, source, *figures[metric]))
    return rows


# === Files ===


def write_results(out, samples, skipped):
    """Write `evaluation.json`, `evaluation.csv` and `samples.csv`.

    Args:
        out: `pathlib.Path` of a folder that exists.
        samples: List of dicts, as `BatchScores` has them.
        skipped: Dict of the reasons why images were skipped, by name.

    Returns:
        The summary, as `summarize` returns it.
    """
    summary = summarize(samples)
    report = {**summary, "published": _published_by_group(), "skipped": skipped}
    (out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    with open(out / "evaluation.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("metric", "source", *GROUPS))
        writer.writerows(table_rows(summary))
    with open(out / "samples.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(samples[0]))
        writer.writeheader()
        writer.writerows(samples)
    return summary


def _published_by_group():
    return {
        source: {
            metric: dict(zip(GROUPS, figures, strict=True))
            for metric, figures in rows.items()
        }
        for source, rows in PUBLISHED.items()
    }


def draw_best_median_worst(model, dataset, samples, each=3):
    """Draw a grid of the best, the median and the worst samples by PSNR.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        dataset: The data set that was evaluated.
        samples: List of dicts, as `BatchScores` has them, at least one.
        each: Int, the maximum number of each kind. Defaults to `3`.

    Returns:
        `PIL.Image.Image` with the columns `masked`, `filled` and `target`.
    """
    ranked = sorted(samples, key=lambda sample: -sample["psnr"])
    each = min(each, -(-len(ranked) // 3))
    middle = max(0, len(ranked) // 2 - each // 2)
    selected = {
        "best": ranked[:each],
        "median": ranked[middle : middle + each],
        "worst": ranked[-each:],
    }
    captions, rows = [], []
    for kind, members in selected.items():
        for scores in members:
            sample = dataset.sample(scores["index"])
            batch = pad_batch([sample], dataset.batch_size)
            columns = comparison_columns(batch, model.predict_on_batch(batch))
            rows.append({title: images[0] for title, images in columns.items()})
            captions.append(
                f"{kind}: {scores['psnr']:.2f} dB, hole {scores['mask_ratio']:.0%}"
            )
    columns = {title: np.stack([row[title] for row in rows]) for title in rows[0]}
    return draw_grid(columns, captions)
