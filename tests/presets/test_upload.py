"""Uploads to the hubs, of whose clients the functions that send are replaced."""

import json

import pytest

import keras_ctsdg
from keras_ctsdg.presets.card import build_card

pytestmark = pytest.mark.backend_independent
FILES = {"README.md", "config.json", "metadata.json", "model.weights.h5"}


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """The files of a preset, of which an upload reads the card and the metadata."""
    folder = tmp_path_factory.mktemp("presets") / "faces"
    folder.mkdir()
    record = {"parameters": {"generator": 12}, "dtype": "float32", "license": "mit"}
    record |= {"edges": "clean", "upsampling": "half_pixel"}
    card = build_card("faces", record) + "\nTrained on my own photos.\n"
    (folder / "README.md").write_text(card)
    (folder / "metadata.json").write_text(json.dumps({"keras_ctsdg": record}))
    (folder / "config.json").write_text("{}")
    (folder / "model.weights.h5").write_bytes(b"weights")
    (folder / "notes.txt").write_text("private")
    (folder / "runs").mkdir()
    return folder


@pytest.fixture
def hub(monkeypatch):
    """The repositories on Hugging Face: files by name."""
    repositories = {}

    def create_repo(self, name, private=None, exist_ok=False):
        assert exist_ok
        repositories.setdefault(name, {})["private"] = private
        return f"https://huggingface.co/{name}"

    def create_commit(self, name, operations, commit_message):
        assert commit_message
        for operation in operations:
            with operation.as_file() as file:
                repositories[name][operation.path_in_repo] = file.read()

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", create_repo)
    monkeypatch.setattr("huggingface_hub.HfApi.create_commit", create_commit)
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    return repositories


def test_hugging_face(preset, hub):
    url = keras_ctsdg.upload_preset(preset, "hf://owner/my-faces")
    assert url == "https://huggingface.co/owner/my-faces"
    found = hub["owner/my-faces"]
    assert found.pop("private") is False
    assert set(found) == FILES
    for name in FILES - {"README.md"}:
        assert found[name] == (preset / name).read_bytes()
    card = found["README.md"].decode()
    assert 'model = keras_ctsdg.from_preset("hf://owner/my-faces")' in card
    assert "path/to" not in card
    assert "Trained on my own photos." in card
    # The folder itself stays as it is.
    assert "path/to/faces" in (preset / "README.md").read_text()


def test_kaggle(preset, monkeypatch):
    uploads = []
    monkeypatch.setattr(
        "kagglehub.model_upload", lambda *x, **y: uploads.append((x, y))
    )
    monkeypatch.setenv("KAGGLE_USERNAME", "owner")
    monkeypatch.setenv("KAGGLE_KEY", "key")
    handle = "kaggle://owner/faces/keras/small"
    url = keras_ctsdg.upload_preset(preset, handle)
    assert url == "https://www.kaggle.com/models/owner/faces/keras/small"
    ((arguments, options),) = uploads
    assert arguments == ("owner/faces/keras/small", str(preset))
    assert sorted(options["ignore_patterns"]) == ["notes.txt", "runs/"]
    assert options["license_name"] == "mit"


def test_command_and_an_installed_preset(command, preset, hub, monkeypatch):
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(preset.parent.parent))
    (preset.parent.parent / "presets").unlink(missing_ok=True)
    (preset.parent.parent / "presets").symlink_to(preset.parent)
    code, stdout, stderr = command("upload", "faces", "hf://owner/faces", "--private")
    assert code == 0, stderr
    assert stdout == "Uploaded to https://huggingface.co/owner/faces\n"
    assert hub["owner/faces"]["private"] is True


def test_errors_before_anything_is_sent(command, preset, hub, monkeypatch, tmp_path):
    for arguments, message in (
        ((tmp_path, "hf://owner/faces"), "`preset` must be a folder that .*, without"),
        (("none", "hf://owner/faces"), "Received: preset=none, without config.json"),
        ((preset, "owner/faces"), 'must be "hf://owner/name" or "kaggle://owner/model'),
        ((preset, "hf://faces"), "Received: handle=hf://faces"),
        ((preset, "hf://owner/faces/x"), "Received: handle=hf://owner/faces/x"),
        ((preset, "kaggle://owner/faces"), "Received: handle=kaggle://owner/faces"),
    ):
        with pytest.raises(ValueError, match=message):
            keras_ctsdg.upload_preset(*arguments)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no"))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    for handle, how in (
        ("hf://owner/faces", "hf auth login"),
        ("kaggle://owner/faces/keras/small", "kagglehub.login()"),
    ):
        code, _, stderr = command("upload", preset, handle)
        assert (code, len(stderr.splitlines())) == (1, 1)
        assert f"`{how}`" in stderr
    assert hub == {}


def test_hub_that_refuses(preset, hub, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("403\nForbidden")

    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refuse)
    with pytest.raises(OSError, match="uploaded: 403 Forbidden. Received: handle=hf:"):
        keras_ctsdg.upload_preset(preset, "hf://owner/faces")
