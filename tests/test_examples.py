import keras
import nbformat
import pytest
from nbclient import NotebookClient

import keras_ctsdg
from keras_ctsdg.models import Generator
from tests.common import TRACES
from tests.run_all import QUICK

INLINE = "module://matplotlib_inline.backend_inline"


def pictures_of(notebook):
    """How many pictures the outputs of a notebook hold."""
    return sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def run_and_compare(name, monkeypatch, pictures):
    """Runs a notebook, which shows as many pictures as were kept in the file."""
    notebook = nbformat.read(f"examples/{name}.ipynb", as_version=4)
    assert pictures_of(notebook) == pictures
    for variable, value in {**QUICK, "MPLBACKEND": INLINE}.items():
        monkeypatch.setenv(variable, value)
    NotebookClient(notebook, timeout=600).execute()
    assert pictures_of(notebook) == pictures
    return notebook


@pytest.mark.skipif(not TRACES, reason="minutes long: runs on the default backend")
@pytest.mark.large
def test_train_on_your_pictures(monkeypatch):
    run_and_compare("train_on_your_pictures", monkeypatch, 3)


def test_inpaint_a_photo(monkeypatch, tmp_path):
    keras_ctsdg.CTSDG(Generator(filters=4)).save_to_preset(tmp_path / "small")
    monkeypatch.setenv("PRESET", str(tmp_path / "small"))
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    notebook = run_and_compare("inpaint_a_photo", monkeypatch, 3)
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
