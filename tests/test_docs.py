"""The documentation: names, links, and the code on its pages."""

import re
from pathlib import Path

import pytest

import keras_ctsdg

pytestmark = pytest.mark.backend_independent

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)


def public_names():
    """Return the full names of what a user may import."""
    names = set()
    for name in keras_ctsdg.__all__:
        value = getattr(keras_ctsdg, name)
        if not hasattr(value, "__path__") and not hasattr(value, "__file__"):
            names.add(name)
            continue
        members = getattr(value, "__all__", None) or [
            key
            for key, member in vars(value).items()
            if not key.startswith("_")
            and getattr(member, "__module__", None) == value.__name__
        ]
        names |= {f"{name}.{member}" for member in members}
    return names


def documented_names():
    """Return the names that a page of the reference asks mkdocstrings for."""
    text = "\n".join(path.read_text() for path in REFERENCE)
    return re.findall(r"^::: keras_ctsdg\.(\S+)$", text, re.M)


def slug(title):
    """Return the anchor that Markdown gives a title."""
    title = re.sub(r"[^\w\s-]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", title))
    return re.sub(r"[-\s]+", "-", title.strip().lower())


def anchors(path):
    text = FENCE.sub("", path.read_text())
    return {slug(title) for title in re.findall(r"^#+ +(.+)$", text, re.M)}


def test_every_public_name_is_in_the_reference():
    documented = documented_names()
    missing = public_names() - set(documented)
    assert not missing, missing
    assert len(documented) == len(set(documented)), "a name stands there twice"


def test_the_reference_names_what_exists():
    for name in set(documented_names()) - public_names():
        # Only methods that the backend's own step inherits stand there by themselves.
        base, _, method = name.rpartition(".")
        assert base == "training.step.BaseTrainingStep", name
        assert callable(getattr(keras_ctsdg.CTSDG, method))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(page):
    text = FENCE.sub("", page.read_text())
    links = re.findall(r"\]\(([^)\s]+)[^)]*\)|(?:src|href)=\"([^\"]+)\"", text)
    for link in (first or second for first, second in links):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.is_file(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        assert f" {page.relative_to(ROOT / 'docs').as_posix()}\n" in navigation
