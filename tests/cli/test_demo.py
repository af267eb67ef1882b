import socket
import sys
from dataclasses import fields

import keras
import pytest

import keras_ctsdg
from keras_ctsdg.inpainting import InpaintOptions
from keras_ctsdg.models import Generator
from tests.cli.common import read_box

pytestmark = pytest.mark.backend_independent


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(tmp_path / "home"))


def test_wrong_arguments_are_reported_in_a_line(command, tmp_path):
    for arguments, message in (
        ((tmp_path / "no.keras",), "an existing `.keras` file"),
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


def test_port_in_use_is_reported_before_anything_is_loaded(command, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, _, stderr = command("demo", tmp_path / "no", "--port", port)
    assert code == 1
    assert "`port` must be a free port, or 0 for any." in stderr
    assert f"Received: port={port}: " in stderr


def test_missing_extra_is_named(command, monkeypatch, tmp_path):
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

    build_interface = server.build_interface
    monkeypatch.setattr(server, "_run", run)
    monkeypatch.setattr(
        server,
        "build_interface",
        lambda presets, *rest: (
            offered.append(presets.names) or build_interface(presets, *rest)
        ),
    )
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    code, stdout, stderr = command("demo", "--port", 0)
    assert code == 0, stderr
    names, (host, port) = offered
    assert (names, host) == (["demo", "faces", "streets"], "127.0.0.1")
    assert opened == [f"http://127.0.0.1:{port}"]
    assert (
        f"The demo runs at http://127.0.0.1:{port}. Press Ctrl-C to stop it." in stdout
    )


def test_memory_limit_is_offered_as_inpaint_offers_it(command):
    code, stdout, _ = command("demo", "--help")
    assert code == 0
    text = read_box(stdout)
    (option,) = (x for x in fields(InpaintOptions) if x.name == "memory_limit")
    assert "--memory-limit" in text
    assert option.metadata["help"] in text
    assert f"[default: {option.default}]" in text
    assert "--feather" not in text
