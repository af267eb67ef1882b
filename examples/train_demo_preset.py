"""Train the preset `demo` on photographs of Debian's packages.

`python examples/train_demo_preset.py WORK` downloads the photographs into the folder
WORK, trains for many hours on a CPU and writes `WORK/demo`: the preset in float16 with
its model card, scores and `ATTRIBUTION.md`, anew after each phase. Killed at any time
and run again, it continues from the last complete epoch. With `--evaluate` it does not
train, and writes the preset of the last complete phase again.

It needs `pip install opencv-python-headless`, to compare with, and a system with
`apt-get` and `dpkg-deb` whose sources are those of Debian 12.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import keras
from demo_preset import card, evaluation, photographs
from demo_preset.training import PHASES, find_presets, run_phases

import keras_ctsdg
from keras_ctsdg.presets.files import write_preset

DEFAULT_WORK = Path("~/.cache/keras_ctsdg_demo").expanduser()


def prepare_images(work):
    """Fetch the photographs, read their licenses again and divide them.

    Args:
        work: `pathlib.Path` of the working folder.

    Returns:
        Dict of the parts `"training"`, `"validation"` and `"test"`: lists of the list's
        dicts with `images`, the paths of each photograph's prepared images.
    """
    photos, packages = photographs.read_list()
    photographs.fetch(packages, work)
    progress = keras.utils.Progbar(len(photos), unit_name="photograph")
    for photo in photos:
        photo |= photographs.read_license(photo, packages[photo["package"]], work)
        photo["images"] = photographs.prepare(photo, work)
        progress.add(1)
    return photographs.split(photos)


def publish(preset, parts, work):
    """Write the preset of a phase in float16, measure it and write its card.

    Args:
        preset: `pathlib.Path` of the phase's preset.
        parts: Dict, as `prepare_images` returns it.
        work: `pathlib.Path` of the working folder, in which `demo` is replaced.
    """
    out = work / "demo"
    model = keras_ctsdg.from_preset(preset)
    write_preset(model, out, dtype="float16", overwrite=True, record=card.RECORD)
    model = keras_ctsdg.from_preset(out)
    photos = whole_images(parts["test"])
    scores = evaluation.measure_all(model, photos, work)
    margins = evaluation.margins(scores)
    table = evaluation.build_table(scores)
    counts = {name: len(photos) for name, photos in parts.items()}
    card.write_card(out, model, scores, margins, table, counts)
    card.write_attribution(out / "ATTRIBUTION.md", parts)
    card.draw_fills(model, photos, scores).save(out / "fills.jpg", quality=90)
    (out / "scores.json").write_text(json.dumps(scores))
    print(table)
    print(f"Above the best other method: {json.dumps(margins, indent=2)}")


def whole_images(photos):
    """Return the paths of photographs as a whole, without their parts."""
    return [photo["images"][0] for photo in photos]


def main():
    """Train with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, nargs="?", default=DEFAULT_WORK)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument(
        "--steps",
        type=int,
        nargs=len(PHASES),
        default=[phase.steps for phase in PHASES],
        help="steps of each phase, 0 to leave it out",
    )
    parser.add_argument("--dtype", default="float32", help="policy of the training")
    parser.add_argument("--evaluate", action="store_true", help="do not train")
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    parts = prepare_images(work)
    for name, photos in parts.items():
        print(f"{name}: {len(photos)} photographs")
    phases = [
        replace(phase, steps=steps)
        for phase, steps in zip(PHASES, arguments.steps, strict=True)
        if steps
    ]
    if arguments.evaluate:
        publish(find_presets(phases, work)[-1], parts, work)
        return
    images = (
        [path for photo in parts["training"] for path in photo["images"]],
        whole_images(parts["validation"]),
    )
    for preset in run_phases(phases, images, work, arguments.filters, arguments.dtype):
        publish(preset, parts, work)


if __name__ == "__main__":
    main()
