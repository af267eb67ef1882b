"""The documentation: names, links, and the code on its pages."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.backend_independent

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
REFERENCE = sorted((ROOT / "docs" / "reference").glob("*.md"))
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)


def public_names():
    """Return the full names of what a user may import, read from the source."""
    package = ast.parse((ROOT / "keras_ctsdg" / "__init__.py").read_text())
    names = set()
    for name in members(package):
        module = find_module(package, name)
        if module is None:
            names.add(name)
        else:
            tree = ast.parse(module.read_text())
            names |= {f"{name}.{member}" for member in members(tree)}
    return names


def find_module(package, name):
    """Return the file of a module that the package imports, `None` for other names."""
    for node in package.body:
        if isinstance(node, ast.ImportFrom) and name in [x.name for x in node.names]:
            path = ROOT / node.module.replace(".", "/") / name
            files = path.with_suffix(".py"), path / "__init__.py"
            return next((file for file in files if file.exists()), None)
    raise AssertionError(f"{name} is not imported")


def members(tree):
    """Return the names in `__all__`, or else the public classes and functions."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    kinds = (ast.ClassDef, ast.FunctionDef)
    names = [node.name for node in tree.body if isinstance(node, kinds)]
    return [name for name in names if not name.startswith("_")]


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
    # What the step of every backend inherits stands there by itself.
    inherited = {"training.step.BaseTrainingStep.compile"}
    assert set(documented_names()) - public_names() == inherited


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
