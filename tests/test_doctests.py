"""The examples of the docstrings, with what a reader has imported."""

import doctest
import importlib
import pkgutil

import keras
import numpy as np
import pytest

import keras_ctsdg

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NAMESPACES = ("layers", "models", "data", "metrics")
# Each belongs to one backend.
STEPS = {f"keras_ctsdg.training.step_{x}" for x in ("jax", "tensorflow", "torch")}


def namespace():
    """Return the names that examples use without importing them."""
    names = {"np": np, "keras": keras, "keras_ctsdg": keras_ctsdg}
    for module in (getattr(keras_ctsdg, name) for name in NAMESPACES):
        names |= {
            name: value
            for name, value in vars(module).items()
            if not name.startswith("_")
            and getattr(value, "__module__", "").startswith("keras_ctsdg.")
        }
    return names


def examples():
    """Return all docstrings that hold examples."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {}
    for info in pkgutil.walk_packages(keras_ctsdg.__path__, "keras_ctsdg."):
        if info.name not in STEPS and not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            for test in finder.find(module, info.name):
                if test.examples:
                    found[test.name] = test
    return list(found.values())


EXAMPLES = examples()
# What they show is how an object is called; its values have tests on every backend.
pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_example(example, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(tmp_path))
    example.globs = namespace() | {"__name__": "__main__"}
    output = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    runner.run(example, out=output.append)
    assert not runner.failures, "".join(output)


def test_every_layer_and_network_has_one():
    names = {example.name.split(".")[-1] for example in EXAMPLES}
    public = {*keras_ctsdg.layers.__all__, *keras_ctsdg.models.__all__}
    assert public <= names, public - names
