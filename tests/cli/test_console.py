"""What the command line prints beside its results, which should be nothing."""

import os
import runpy
import warnings

import pytest

from _keras_ctsdg_command import hold_back_stderr
from keras_ctsdg.cli._console import one_line_warnings
from keras_ctsdg.training.verbosity import resolve_verbosity
from tests.processes import finish, start_command, start_python

INTERRUPTED_IMPORT = """
import os
import signal
import sys

import _keras_ctsdg_command


class InterruptingFinder:
    def find_spec(self, name, path=None, target=None):
        if name == "keras":
            os.kill(os.getpid(), signal.SIGINT)


signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, InterruptingFinder())
_keras_ctsdg_command.main()
"""

# In place of a command, set the seed, for which Keras imports TensorFlow on every
# backend.
LATE_IMPORT = """
import sys
from types import SimpleNamespace

import _keras_ctsdg_command


def main():
    import keras

    keras.utils.set_random_seed(1)
    assert "tensorflow" in sys.modules


sys.modules["keras_ctsdg.cli"] = SimpleNamespace(main=main)
_keras_ctsdg_command.main()
"""


@pytest.mark.parametrize(
    "argument",
    (pytest.param("--help", marks=pytest.mark.backend_independent), "presets"),
)
def test_commands_print_nothing_to_stderr(argument, monkeypatch, tmp_path):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    process = start_command(argument, KERAS_CTSDG_HOME=str(tmp_path))
    code, stdout, stderr = finish(process)
    assert code == 0
    assert "celeba" in stdout or "quickstart" in stdout
    assert stderr == ""


@pytest.mark.backend_independent
def test_a_late_import_of_tensorflow_prints_nothing(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    code, stdout, stderr = finish(start_python("-c", LATE_IMPORT))
    assert code == 0, stderr
    assert stdout == stderr == ""


@pytest.mark.backend_independent
def test_module_can_be_run(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["keras_ctsdg.cli", "--help"])
    with pytest.raises(SystemExit, match="^0$"):
        runpy.run_module("keras_ctsdg.cli", run_name="__main__")
    assert "quickstart" in capsys.readouterr().out


@pytest.mark.backend_independent
def test_interrupt_during_imports():
    code, stdout, stderr = finish(start_python("-c", INTERRUPTED_IMPORT))
    assert code == 130
    assert stdout == stderr == ""


@pytest.mark.backend_independent
def test_unknown_backend():
    code, _, stderr = finish(start_command("--help", KERAS_BACKEND="nothing"))
    assert code == 1
    assert stderr.startswith("Error: ")
    assert "nothing" in stderr
    assert len(stderr.splitlines()) == 1


@pytest.mark.backend_independent
def test_stderr_is_held_back(capfd):
    with hold_back_stderr():
        os.write(2, b"chatter")
    os.write(2, b"message")
    assert capfd.readouterr().err == "message"


@pytest.mark.backend_independent
def test_stderr_is_shown_before_an_error(capfd):
    with pytest.raises(ImportError), hold_back_stderr():
        os.write(2, b"reason")
        raise ImportError
    assert capfd.readouterr().err == "reason"


@pytest.mark.backend_independent
def test_warnings_are_one_line(capsys):
    with pytest.warns(UserWarning, match="after"):
        with one_line_warnings():
            warnings.warn("A mask\n    [0] has no hole.", stacklevel=1)
            warnings.warn("Old.", FutureWarning, stacklevel=1)
        warnings.warn("after", stacklevel=1)
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert stderr == "Warning: A mask [0] has no hole.\nWarning: Old.\n"


@pytest.mark.parametrize("is_terminal, expected", ((True, 1), (False, 2)))
def test_progress_bar_only_in_a_terminal(monkeypatch, is_terminal, expected):
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    assert resolve_verbosity() == expected
    assert resolve_verbosity(0) == 0
