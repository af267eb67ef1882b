import socket
import sys

import keras
import pytest

import keras_ctsdg
from keras_ctsdg.models import Generator


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(tmp_path / "home"))


def test_wrong_arguments_are_told_in_a_line(command, tmp_path):
    for arguments, message in (
        ((), "There must be a preset: none is installed"),
        ((tmp_path / "no.keras",), "a `.keras` file that exists"),
        (("--memory-limit", 0), "Received: memory_limit=0"),
    ):
        code, _, stderr = command("demo", *arguments, "--no-open", "--port", 0)
        assert code == 1
        assert message in stderr
        assert "Traceback" not in stderr
    for arguments in (("--port", 70000), ("--max-upload-mb", 0), ("--strategy", "x")):
        code, _, stderr = command("demo", *arguments)
        assert code == 2
        assert arguments[0] in stderr


def test_a_port_in_use_is_told_before_anything_is_loaded(command, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, _, stderr = command("demo", tmp_path / "no", "--port", port)
    assert code == 1
    assert "--port must be one that is free, or 0 for any." in stderr
    assert f"Received: --port {port}: " in stderr


def test_the_missing_extra_is_named(command, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, _, stderr = command("demo", tmp_path)
    assert code == 1
    assert 'pip install "keras-ctsdg[demo]"' in stderr
    assert "Traceback" not in stderr


def test_installed_presets_are_offered(command, monkeypatch, tmp_path):
    keras.utils.set_random_seed(1)
    model = keras_ctsdg.CTSDG(Generator(filters=4))
    for name in ("faces", "streets"):
        model.save_to_preset(tmp_path / "home" / "presets" / name)
    offered = []

    def run(app, listener):
        offered.append(listener.getsockname())

    from keras_ctsdg.demo import server

    make_page = server.make_page
    monkeypatch.setattr(server, "_run", run)
    monkeypatch.setattr(
        server,
        "make_page",
        lambda models, *rest: offered.append(models.names) or make_page(models, *rest),
    )
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    code, stdout, stderr = command("demo", "--port", 0)
    assert code == 0, stderr
    names, (host, port) = offered
    assert (names, host) == (["faces", "streets"], "127.0.0.1")
    assert opened == [f"http://127.0.0.1:{port}"]
    assert f"The page is at http://127.0.0.1:{port}. Ctrl-C ends it." in stdout
