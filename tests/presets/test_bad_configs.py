"""Presets whose config.json is damaged or hostile end in one clear error."""

import copy
import json
import shutil
import zipfile
from pathlib import Path

import pytest

import keras_ctsdg

PRESET = Path(__file__).parents[1] / "generations" / "1" / "preset_float32"
CONFIG = json.loads((PRESET / "config.json").read_text())
pytestmark = pytest.mark.backend_independent


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(PRESET, tmp_path / "preset")


def changed(path, value):
    """Return the config with one value replaced, as JSON."""
    config = copy.deepcopy(CONFIG)
    *parents, last = path
    inner = config
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return json.dumps(config)


def deep(levels):
    return "[" * levels + "]" * levels


NETWORK = ("config", "generator")
CONFIGS = {
    "deep": '{"config":' * 200_000 + "0" + "}" * 200_000,
    "deep_list": deep(200_000),
    "deep_inside": json.dumps(CONFIG)[:-1] + f', "more": {deep(5_000)}}}',
    "no_json": "\ud800".encode("utf-8", "surrogatepass"),
    "null_bytes": b"\0" * 100,
    "number": "1e999",
    "config_is_a_list": changed(("config",), []),
    "config_is_null": changed(("config",), None),
    "name_is_a_dict": changed(("registered_name",), {"a": 1}),
    "generator_is_text": changed(NETWORK, "generator"),
    "generator_is_null": changed(NETWORK, None),
    "network_config_is_null": changed((*NETWORK, "config"), None),
    "filters_is_text": changed((*NETWORK, "config", "filters"), "64"),
    "filters_is_nan": changed((*NETWORK, "config", "filters"), float("nan")),
    "filters_is_a_fraction": changed((*NETWORK, "config", "filters"), 4.5),
    "filters_is_negative": changed((*NETWORK, "config", "filters"), -4),
    "filters_is_huge": changed((*NETWORK, "config", "filters"), 10**400),
    "shape_is_text": changed((*NETWORK, "config", "image_shape"), "abc"),
    "shape_is_nested": changed((*NETWORK, "config", "image_shape"), [[1], {}, 3]),
    "dtype_is_a_list": changed((*NETWORK, "config", "dtype"), [1, 2]),
    "unknown_layer": changed((*NETWORK, "config", "frozen_layers"), ["no_layer"]),
    "unknown_argument": changed((*NETWORK, "config", "surplus"), {"deep": [1]}),
    "sigma_is_text": changed(("config", "sigma"), "wide"),
    "edges_is_a_dict": changed(("config", "edges"), {}),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_bad_config_is_refused(name, folder):
    content = CONFIGS[name]
    content = content if isinstance(content, bytes) else content.encode()
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match="Received: .*preset") as error:
        keras_ctsdg.from_preset(folder)
    assert len(str(error.value)) < 1500


def test_deep_config_in_a_file_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "deep.keras", "w") as archive:
        archive.writestr("config.json", CONFIGS["deep"])
    with pytest.raises(ValueError, match="nested more than .*") as error:
        keras_ctsdg.from_preset(tmp_path / "deep.keras")
    assert "deep.keras" in str(error.value)


def test_web_page_in_place_of_a_file_is_named(tmp_path):
    (tmp_path / "page.keras").write_text("<html>Sign in</html>")
    with pytest.raises(ValueError, match="it is a web page.*page.keras"):
        keras_ctsdg.from_preset(tmp_path / "page.keras")


def test_command_prints_one_line(command, folder, tmp_path):
    (folder / "config.json").write_text(CONFIGS["deep"])
    (tmp_path / "image.png").touch()
    code, _, stderr = command(
        "evaluate", folder, "--images", tmp_path, "--out", tmp_path / "out"
    )
    assert code == 1
    assert stderr.startswith("Error: ") and len(stderr.splitlines()) == 1
