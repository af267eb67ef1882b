"""The notebooks: their files hold what they show, and they run."""

from pathlib import Path

import keras
import nbformat
import pytest
from nbclient import NotebookClient

from tests.common import EAGER_ON_TENSORFLOW
from tests.processes import FAST_COMPILATION

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
INLINE = "module://matplotlib_inline.backend_inline"
# The notebooks, and how many images each shows.
NOTEBOOKS = {
    "evaluate_and_compare": 1,
    "inpaint_a_photo": 3,
    "three_backends": 1,
    "train_on_your_images": 3,
}
# In bytes; the reader has to load them.
LARGEST = 1_500_000


def read_notebook(name):
    return nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)


def outputs(notebook):
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return [output for cell in cells for output in cell.outputs]


def count_images(notebook):
    """Return the number of images in the outputs of a notebook."""
    return sum(
        any(kind in output.get("data", {}) for kind in ("image/png", "image/jpeg"))
        for output in outputs(notebook)
    )


def run_notebook(name, monkeypatch):
    """Run a notebook in its folder, and return it with its new outputs."""
    notebook = read_notebook(name)
    for variable, value in {**FAST_COMPILATION, "MPLBACKEND": INLINE}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    resources = {"metadata": {"path": EXAMPLES}}
    NotebookClient(notebook, timeout=900, resources=resources).execute()
    assert count_images(notebook) == NOTEBOOKS[name]
    return notebook


def results(notebook):
    """Return the values that cells end with, as text."""
    return [
        output["data"]["text/plain"]
        for output in outputs(notebook)
        if output.output_type == "execute_result"
    ]


@pytest.mark.backend_independent
class TestFiles:
    def test_all_are_known(self):
        assert {path.stem for path in EXAMPLES.glob("*.ipynb")} == set(NOTEBOOKS)

    @pytest.mark.parametrize("name", NOTEBOOKS)
    def test_hold_the_outputs_of_one_run(self, name):
        notebook = read_notebook(name)
        nbformat.validate(notebook)
        assert count_images(notebook) == NOTEBOOKS[name]
        assert "error" not in {output.output_type for output in outputs(notebook)}
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        counts = [cell.execution_count for cell in code]
        assert counts == list(range(1, len(code) + 1))
        assert (EXAMPLES / f"{name}.ipynb").stat().st_size < LARGEST


@pytest.mark.skipif(
    not EAGER_ON_TENSORFLOW, reason="takes minutes, so only on the default backend"
)
@pytest.mark.slow
def test_train_on_your_images(monkeypatch):
    run_notebook("train_on_your_images", monkeypatch)


@pytest.mark.slow
@pytest.mark.backend_independent
def test_inpaint_a_photo(monkeypatch):
    notebook = run_notebook("inpaint_a_photo", monkeypatch)
    outside, inside = map(int, results(notebook)[0].strip("()").split(","))
    assert outside == 0
    assert inside > 1000


@pytest.mark.slow
@pytest.mark.backend_independent
def test_evaluate_and_compare(monkeypatch):
    notebook = run_notebook("evaluate_and_compare", monkeypatch)
    (table,) = (
        output["data"]["text/markdown"]
        for output in outputs(notebook)
        if "text/markdown" in output.get("data", {})
    )
    for name in ("demo", "Telea, radius 3", "biharmonic"):
        assert table.count(f"| {name} |") == 3


@pytest.mark.slow
@pytest.mark.backend_independent
def test_three_backends(monkeypatch):
    notebook = run_notebook("three_backends", monkeypatch)
    differences = eval(results(notebook)[0])
    assert set(differences) == {"tensorflow", "jax", "torch"}
    assert max(differences.values()) <= 1
    printed = "".join(
        output.text for output in outputs(notebook) if output.output_type == "stream"
    )
    losses = [
        [float(word) for word in line.split()[1:]]
        for line in printed.splitlines()
        if "after" not in line and len(line.split()) == 5
    ]
    assert len(losses) == 3
    for values in losses[1:]:
        assert values == pytest.approx(losses[0], rel=1e-3)
    assert "after 2 steps:" in printed and "after 4 steps:" in printed
