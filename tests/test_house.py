"""Rules of the house that no linter knows."""

import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.backend_independent

ROOT = Path(__file__).parents[1]
FOLDERS = ("keras_ctsdg", "tests", "benchmarks", "examples", "docs")
SOURCES = sorted(path for x in FOLDERS for path in (ROOT / x).rglob("*.py"))
TEXTS = sorted(
    [*SOURCES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    + [ROOT / "benchmarks" / "RESULTS.md"]
    + [path for x in ("*.css", "*.js", "*.ipynb") for path in ROOT.rglob(x)]
)
BRITISH = (
    "analys(e|ed|es|ing)|behaviour|catalogue|centre|colou?ris|colour|defence|dialogue"
    "|favour|fulfil\\b|grey|honour|initialis|labelled|licence|metre|modelled|neighbour"
    "|normalis|optimis|organis|programme\\b|recognis|serialis|summaris|towards|travell"
    "|unauthoris|visualis|whilst"
)


def relative(path):
    return path.relative_to(ROOT).as_posix()


def find(pattern, paths):
    """Return where a pattern stands, as a compiler would say it."""
    pattern = re.compile(pattern)
    return [
        f"{relative(path)}:{number}: {line.strip()[:100]}"
        for path in paths
        if path != Path(__file__) and not skipped(path)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        # Notebooks hold their images in base64, which may spell anything.
        if '"image/' not in line and pattern.search(line)
    ]


def skipped(path):
    """Whether a path is none of ours: hidden, built, or part of the golden data."""
    parts = path.relative_to(ROOT).parts
    return any(
        x.startswith(".") or x in ("build", "dist", "golden", "site") for x in parts
    )


def test_files_are_short():
    lengths = {relative(x): len(x.read_text().splitlines()) for x in SOURCES}
    assert {name: n for name, n in lengths.items() if n > 300} == {}


def test_private_parts_of_keras_are_used_in_one_place():
    pattern = r"(import|from) +keras\.src|from keras import src|keras\.src\.\w+\("
    private = {"keras_ctsdg/_keras_private.py", "tests/_keras_private.py"}
    assert find(pattern, [x for x in SOURCES if relative(x) not in private]) == []


def test_american_spelling():
    assert find(rf"(?i)({BRITISH})", TEXTS) == []


def test_images_are_called_images():
    package = [x for x in TEXTS if relative(x).startswith(("keras_ctsdg/", "docs/"))]
    assert find(r"(?i)pictures?(?![\w-])|(?<![\w-])pictures?", package) == []


def test_the_wheel_holds_every_file_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = {
        path
        for package, patterns in project["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    files = {path for path in (ROOT / "keras_ctsdg").rglob("*") if path.is_file()}
    data = {x for x in files if x.suffix not in (".py", ".pyc")}
    assert data - shipped == set()
    assert any(path.name == "py.typed" for path in shipped)
    # What setuptools does not find is no package.
    folders = {path.parent for path in files if path.suffix == ".py"}
    assert all((folder / "__init__.py").is_file() for folder in folders)
    assert sum(path.stat().st_size for path in shipped) < 30e6
