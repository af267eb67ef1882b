"""Train the preset `demo` on photographs of Debian's packages.

`python examples/train_demo_preset.py WORK` downloads the photographs into the folder
WORK, trains for many hours on a CPU and writes `WORK/demo`, the preset in float16.
Killed at any time and run again, it continues from the last complete epoch. It needs
a system with `apt-get` and `dpkg-deb` whose sources are those of Debian 12.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import keras
from demo_preset import photographs
from demo_preset.training import PHASES, run_phases

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
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    parts = prepare_images(work)
    for name, photos in parts.items():
        print(f"{name}: {len(photos)} photographs")
    images = {
        name: [path for photo in photos for path in photo["images"]]
        for name, photos in parts.items()
    }
    phases = [
        replace(phase, steps=steps)
        for phase, steps in zip(PHASES, arguments.steps, strict=True)
        if steps
    ]
    for preset in run_phases(
        phases,
        images["training"],
        [photo["images"][0] for photo in parts["validation"]],
        work,
        arguments.filters,
        arguments.dtype,
    ):
        print(f"Complete: {preset}", flush=True)


if __name__ == "__main__":
    main()
