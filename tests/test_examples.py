import keras
import nbformat
import pytest
from nbclient import NotebookClient

import keras_ctsdg
from keras_ctsdg.models import Generator
from tests.common import EAGER_ON_TENSORFLOW
from tests.processes import FAST_COMPILATION

INLINE = "module://matplotlib_inline.backend_inline"


def count_images(notebook):
    """Return the number of images in the outputs of a notebook."""
    return sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def run_notebook(name, monkeypatch, num_images):
    """Run a notebook, which must show as many images as the file has outputs."""
    notebook = nbformat.read(f"examples/{name}.ipynb", as_version=4)
    assert count_images(notebook) == num_images
    for variable, value in {**FAST_COMPILATION, "MPLBACKEND": INLINE}.items():
        monkeypatch.setenv(variable, value)
    NotebookClient(notebook, timeout=600).execute()
    assert count_images(notebook) == num_images
    return notebook


@pytest.mark.skipif(
    not EAGER_ON_TENSORFLOW, reason="takes minutes, so only on the default backend"
)
@pytest.mark.slow
def test_train_on_your_images(monkeypatch):
    run_notebook("train_on_your_images", monkeypatch, 3)


@pytest.mark.slow
@pytest.mark.backend_independent
def test_inpaint_a_photo(monkeypatch, tmp_path):
    keras_ctsdg.CTSDG(Generator(filters=4)).save_to_preset(tmp_path / "small")
    monkeypatch.setenv("PRESET", str(tmp_path / "small"))
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    notebook = run_notebook("inpaint_a_photo", monkeypatch, 3)
    texts = [
        output["data"]["text/plain"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    outside, inside = map(int, texts[0].strip("()").split(","))
    assert outside == 0
    assert inside > 1000
