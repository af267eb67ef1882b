"""The photographs: which there are, where they come from and who took them."""

import hashlib
import json
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .copyright_files import ALLOWED, find_paragraph, read_paragraphs
from .qt_resources import read_qt_resources

LIST = Path(__file__).with_name("photographs.json")
SEED = 14
# Kinds of photographs and how many there are of each; the rest is trained on.
NUM_TEST, NUM_VALIDATION = 32, 12
# Large photographs are kept as a whole at this long side, and as parts.
LONG_SIDE, PART, PARTS = 1024, 640, 4


def read_list(path=LIST):
    """Return the list of photographs and of the packages that hold them.

    Args:
        path: Path of the JSON file. Defaults to the one beside this module.

    Returns:
        Tuple of a list of dicts with `package`, `path`, `license`, `copyright` and
        `series`, and of a dict of packages: `installed`, the folder of the package
        whose place in its source is `source`.
    """
    content = json.loads(Path(path).read_text())
    return content["photographs"], content["packages"]


def split(photographs, seed=SEED):
    """Divide photographs into those for training, for validation and for the test.

    Photographs of one series, which may show one scene twice, stay together.

    Args:
        photographs: List, as `read_list` returns it.
        seed: Int. Defaults to `SEED`.

    Returns:
        Dict of three lists: `"training"`, `"validation"` and `"test"`.
    """
    series = sorted({photograph["series"] for photograph in photographs})
    order = np.random.default_rng(seed).permutation(len(series))
    parts = {"test": [], "validation": [], "training": []}
    wanted = {"test": NUM_TEST, "validation": NUM_VALIDATION, "training": np.inf}
    for index in order:
        members = [x for x in photographs if x["series"] == series[index]]
        part = next(name for name, n in wanted.items() if len(parts[name]) < n)
        parts[part].extend(members)
    return parts


# === Packages ===


def fetch(packages, folder):
    """Download and unpack Debian's packages, those that are not there yet.

    Args:
        packages: Iterable of str, names of packages.
        folder: `pathlib.Path`.
    """
    downloads = folder / "packages"
    downloads.mkdir(parents=True, exist_ok=True)
    for package in packages:
        target = folder / "unpacked" / package
        if target.is_dir():
            continue
        if not any(downloads.glob(f"{package}_*.deb")):
            print(f"Downloading {package}", flush=True)
            subprocess.run(["apt-get", "download", package], cwd=downloads, check=True)
        (archive,) = downloads.glob(f"{package}_*.deb")
        partial = target.with_name(f"{package}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", archive, partial], check=True)
        partial.rename(target)


def read_license(photograph, package, folder):
    """Read the license of a photograph in its package's copyright file.

    Args:
        photograph: Dict of the list.
        package: Dict of the list's packages.
        folder: `pathlib.Path`, as `fetch` filled it.

    Returns:
        Dict of `license`, `copyright` and `comment`.

    Raises:
        ValueError: If no paragraph applies, or its license is not among `ALLOWED`.
    """
    name = photograph["package"]
    file = folder / "unpacked" / name / "usr/share/doc" / name / "copyright"
    source = photograph["path"].replace(package["installed"], package["source"], 1)
    paragraph = find_paragraph(read_paragraphs(file.read_text()), source)
    if paragraph is None or paragraph["license"] not in ALLOWED:
        raise ValueError(
            f"A photograph must have one of the licenses {ALLOWED}. Received: "
            f"{source} of {name}, {paragraph and paragraph['license']}"
        )
    return {key: paragraph[key] for key in ("license", "copyright", "comment")}


def open_photograph(photograph, folder):
    """Open a photograph of an unpacked package.

    Args:
        photograph: Dict of the list.
        folder: `pathlib.Path`, as `fetch` filled it.

    Returns:
        `PIL.Image.Image`, RGB, upright.
    """
    package = folder / "unpacked" / photograph["package"]
    file = package / photograph["path"]
    if not file.exists():
        file = BytesIO(_read_from_archives(package, photograph["path"]))
    with Image.open(file) as image:
        image = ImageOps.exif_transpose(image).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _read_from_archives(package, path):
    for archive in sorted(package.rglob("*.rcc")):
        read = read_qt_resources(archive.read_bytes()).get(path)
        if read is not None:
            return read()
    raise ValueError(f"The package must hold the file. Received: {path} of {package}")


# === Prepared images ===


def prepare(photograph, folder):
    """Write a photograph in the sizes that training crops from.

    Args:
        photograph: Dict of the list.
        folder: `pathlib.Path`, as `fetch` filled it.

    Returns:
        List of paths of PNG files in `folder / "images"`: the whole photograph, at a
        long side of at most 1024, and of large ones four parts as they were taken.
    """
    key = f"{photograph['package']}/{photograph['path']}"
    stem = hashlib.sha256(key.encode()).hexdigest()[:16]
    out = folder / "images"
    out.mkdir(parents=True, exist_ok=True)
    large = min(photograph["width"], photograph["height"]) >= 2 * PART
    names = ["whole", *(f"part{i}" for i in range(PARTS * large))]
    paths = [out / f"{stem}-{name}.png" for name in names]
    if not all(path.exists() for path in paths):
        image = open_photograph(photograph, folder)
        for path, version in zip(paths, _versions(image, large, stem), strict=True):
            partial = path.with_suffix(".partial")
            version.save(partial, "PNG", compress_level=1)
            partial.rename(path)
    return paths


def _versions(image, large, stem):
    whole = image.copy()
    whole.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    yield whole
    if not large:
        return
    # Parts at half the size too: full-size pixels of cameras are soft.
    rng = np.random.default_rng(int(stem, 16))
    for index in range(PARTS):
        side = PART * (1 + index % 2)
        left = int(rng.integers(image.width - side + 1))
        top = int(rng.integers(image.height - side + 1))
        part = image.crop((left, top, left + side, top + side))
        yield part.resize((PART, PART), Image.Resampling.LANCZOS)
