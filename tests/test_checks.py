import numpy as np
import pytest

from keras_ctsdg._checks import check_positive, check_writable_folder
from keras_ctsdg.layers import PartialConv2D
from keras_ctsdg.models import Generator

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("value", [1, 7, 3.0, np.int64(5), np.float32(2)])
def test_positive_integers_are_returned_as_ints(value):
    checked = check_positive("size", value)
    assert type(checked) is int and checked == value


@pytest.mark.parametrize(
    "value", [0, -1, 2.5, 0.5, float("nan"), float("inf"), "3", None, True, [4], 1j]
)
def test_other_values_are_refused(value):
    message = "`size` must be a positive integer. Received: size="
    with pytest.raises(ValueError, match=message):
        check_positive("size", value)


def test_layers_and_networks_refuse_fractions():
    with pytest.raises(ValueError, match="Received: strides=1.5"):
        PartialConv2D(4, 3, strides=1.5)
    with pytest.raises(ValueError, match="Received: filters=8.5"):
        Generator(filters=8.5)


def test_folders_are_checked_before_they_exist(tmp_path, monkeypatch):
    check_writable_folder("out", tmp_path / "new" / "newer")
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(ValueError, match="`out` must be a folder. Received: out="):
            check_writable_folder("out", folder)
    # The superuser may write everywhere.
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(ValueError, match="without permission for"):
        check_writable_folder("out", tmp_path / "new")
