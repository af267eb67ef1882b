"""The model card, the sheet of images, and who took the photographs."""

import numpy as np

from keras_ctsdg.visualization import comparison_columns, draw_grid

from . import evaluation

TITLES = {
    "CC0": "CC0 1.0",
    "CC0-1.0": "CC0 1.0",
    "public-domain": "public domain",
    "BSD-3-Clause": "BSD, 3 clauses",
    "BSD-3-clause-Google": "BSD, 3 clauses",
}
# Some of the photographs are under CC BY-SA, which asks the same of what is made of
# them. Its older versions allow this one.
RECORD = {
    "description": "Small holes in photographs; part of this package",
    "license": "cc-by-sa-4.0",
}
CARD = """
## What it is for

Small and medium holes in photographs of any kind: scratches, text, wires, stains,
what stands in the way. It is small ({filters} filters), was trained on a CPU with
{training} photographs, and fills with what a hole's surroundings suggest. It is not for
faces, of which it has hardly seen any (CelebA's preset is for them), and it does not
invent objects: large holes become smooth.

## Scores

{crops} crops of 256 x 256 pixels of {test} photographs that it was not trained on,
drawn before the training started; 8-bit results, PSNR in dB and at most 60 for a crop.
The others are OpenCV's `inpaint` and scikit-image's `inpaint_biharmonic`. `demo better`
is the share of crops.

{table}
The mean PSNR and SSIM of the network, less those of the best other method:

{margins}

![Good and bad fills](fills.jpg)

*The best, the median and the worst by PSNR, compared with the best other method, at
mask ratios of 20 to 40 %. Photographs: `ATTRIBUTION.md`.*

## License

The weights and the images above are under
[CC BY-SA 4.0](https://creativecommons.org/licenses/by-sa/4.0/), like some of the
photographs. `ATTRIBUTION.md` names all of them, with their authors and licenses.
"""


def write_card(preset, model, scores, margins, table, counts):
    """Add what it is for, its scores and its photographs to a preset's model card.

    Args:
        preset: `pathlib.Path` of the preset.
        model: A `keras_ctsdg.CTSDG`, the preset's.
        scores: Dict, as `evaluation.measure_all` returns it.
        margins: Dict, as `evaluation.margins` returns it.
        table: Str, as `evaluation.build_table` returns it.
        counts: Dict of the numbers of photographs for `training` and `test`.
    """
    rows = ["| mask ratio | PSNR | SSIM |", "|---|---|---|"]
    for group, values in margins.items():
        name = group.replace("_", " to ")
        rows.append(f"| {name} % | {values['psnr']:+.2f} dB | {values['ssim']:+.4f} |")
    card = preset / "README.md"
    text = CARD.format(
        filters=model.generator.filters,
        crops=len(scores["demo"]["0_20"]["psnr"]),
        table=table,
        margins="\n".join(rows),
        **counts,
    )
    card.write_text(card.read_text() + text)


def draw_fills(model, photos, scores, group="20_40", each=4):
    """Draw fills of crops on which the network is good, usual and bad.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        photos: List of paths, those that were evaluated.
        scores: Dict, as `evaluation.measure_all` returns it.
        group: Str, the group of mask ratios. Defaults to `"20_40"`.
        each: Int, the number of crops of each kind. Defaults to `4`.

    Returns:
        `PIL.Image.Image`.
    """
    gain = evaluation.gains(scores, group)
    ranked = np.argsort(-gain)
    middle = len(ranked) // 2 - each // 2
    selected = [*ranked[:each], *ranked[middle : middle + each], *ranked[-each:]]
    dataset = evaluation.open_crops(photos)[group]
    methods = {"filled": evaluation.network_method(model)}
    rows = [draw_columns(methods, dataset, int(index)) for index in selected]
    columns = {title: np.stack([row[title] for row in rows]) for title in rows[0]}
    captions = [f"{gain[x]:+.2f} dB to the best other method" for x in selected]
    return draw_grid(columns, captions)


def draw_columns(methods, dataset, index):
    """Return a crop as it is masked, filled by each method and before.

    Args:
        methods: Dict, as `evaluation.classical_methods` returns it.
        dataset: A `keras_ctsdg.data.InpaintingDataset`.
        index: Int, the index of the crop.

    Returns:
        Dict of float arrays `[H, W, 3]` in [-1, 1] by the title of a column.
    """
    image, hole = evaluation.image_and_hole(dataset, index)
    batch = {"image": _unit(image), "mask": hole[None, ..., None]}
    filled = {name: _unit(method(image, hole)) for name, method in methods.items()}
    masked, _, target = comparison_columns(batch, None).values()
    columns = {"masked": masked, **filled, "target": target}
    return {title: images[0] for title, images in columns.items()}


def _unit(image):
    return image[None].astype("float32") / 127.5 - 1


def write_attribution(path, parts):
    """Write who took the photographs, and under which licenses they are.

    Args:
        path: `pathlib.Path` of the file.
        parts: Dict of lists of photographs, as `photographs.split` returns it, with
            what `photographs.read_license` returned.
    """
    lines = [
        "# Photographs of the preset `demo`",
        "",
        "All are from packages of Debian 12, whose `copyright` files say this of them.",
    ]
    for name, photos in parts.items():
        lines += ["", f"## {name.capitalize()}, {len(photos)} in all", ""]
        for photo in sorted(photos, key=lambda x: (x["package"], x["path"])):
            title = photo["path"].rsplit("/", 1)[1]
            license_name = TITLES.get(photo["license"], photo["license"])
            source = f" <{photo['comment']}>" if _is_link(photo["comment"]) else ""
            lines.append(
                f"- {title} ({photo['package']}), {photo['copyright']}: "
                f"{license_name}.{source}"
            )
    path.write_text("\n".join(lines) + "\n")


def _is_link(text):
    return text.startswith("https://") and " " not in text
