"""Files that are loaded where this package has not been imported."""

import keras
import pytest

import keras_ctsdg
from keras_ctsdg.models import Discriminator, Generator, VGG16Features
from tests.processes import run_python
from tests.training.common import make_model

CODE = """
import sys
import keras
try:
    keras.models.load_model(sys.argv[1])
except TypeError as error:
    print(error)
assert "keras_ctsdg" not in sys.modules
import keras_ctsdg
print(type(keras.models.load_model(sys.argv[1])).__name__)
"""


@pytest.mark.backend_independent
@pytest.mark.parametrize("zipped", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_error_names_the_package_to_import(zipped, tmp_path):
    path = tmp_path / ("model.keras" if zipped else "model")
    make_model().save(path, zipped=zipped)
    lines = run_python(CODE, path, backend=keras.backend.backend()).splitlines()
    assert "Could not locate class 'keras_ctsdg.CTSDG'." in lines[0]
    assert lines[-1] == "keras_ctsdg.CTSDG"


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    "cls", [keras_ctsdg.CTSDG, Generator, Discriminator, VGG16Features]
)
def test_registered_names_stay(cls):
    short = cls.__qualname__
    assert cls.__name__ == f"keras_ctsdg.{short}"
    assert keras.saving.get_registered_name(cls) == f"keras_ctsdg>{short}"
