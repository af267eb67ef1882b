import json
import sys

import numpy as np
import pytest

import keras_ctsdg
from keras_ctsdg.checkpoints.name_maps import (
    discriminator_names,
    generator_names,
    mindspore_names,
    vgg16_names,
)
from keras_ctsdg.convert import (
    convert_checkpoint,
    load_authors_state,
    load_torchvision_vgg16,
)
from keras_ctsdg.models import Discriminator, Generator, VGG16Features
from tests.checkpoint_writers import random_source_state, write_mindspore, write_torch


@pytest.fixture(scope="module")
def model():
    return keras_ctsdg.CTSDG(Generator(filters=8), Discriminator(filters=8))


def test_kernels_are_transposed(model):
    state = random_source_state(model.generator, generator_names())
    load_authors_state(model, generator=state)
    kernel = model.generator.get_layer("texture_encoder_2").get_weights()[0]
    expected = state["ec_texture_2.conv.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)


def test_counters_and_aliases_are_skipped(model):
    state = random_source_state(model.discriminator, discriminator_names())
    state["edge_detector.projection.1.num_batches_tracked"] = np.array(7)
    state["texture_branch.features.0.weight_u"] = np.zeros(3)
    load_authors_state(model, discriminator=state)
    u = model.discriminator.get_layer("texture_conv_1").get_weights()[1]
    np.testing.assert_array_equal(u, state["texture_branch.conv1.0.weight_u"])


def test_misfits_are_listed_and_nothing_is_changed(model):
    before = model.get_weights()
    generator = random_source_state(model.generator, generator_names(), seed=1)
    discriminator = random_source_state(
        model.discriminator, discriminator_names(), seed=1
    )
    del discriminator["edge_detector.out_layer.0.bias"]
    discriminator["surplus.weight"] = np.zeros(2)
    discriminator["texture_branch.conv1.0.weight_u"] = np.zeros(5)
    with pytest.raises(ValueError, match="Received: ") as error:
        load_authors_state(model, generator, discriminator)
    message = str(error.value)
    assert "missing: edge_detector.out_layer.0.bias" in message
    assert "unexpected: surplus.weight" in message
    assert "misshapen: texture_branch.conv1.0.weight_u (5,), expected (8,)" in message
    for new, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)


def test_loading_no_state_is_rejected(model):
    with pytest.raises(ValueError, match="Received: generator=None"):
        load_authors_state(model)


def test_deeper_layers_of_vgg_are_skipped():
    vgg = VGG16Features(weights=None)
    state = random_source_state(vgg, vgg16_names())
    deeper = {"features.28.weight": np.zeros((512, 512, 3, 3)), "classifier.0.bias": 0}
    load_torchvision_vgg16(vgg, state | deeper)
    kernel = vgg.get_layer("block3_conv3").get_weights()[0]
    expected = state["features.14.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)
    with pytest.raises(ValueError, match="missing: features.0.bias"):
        load_torchvision_vgg16(vgg, {})


# === Checkpoints ===


@pytest.fixture(scope="module")
def states(model):
    return {
        "generator": random_source_state(model.generator, generator_names()),
        "discriminator": random_source_state(
            model.discriminator, discriminator_names()
        ),
    }


@pytest.fixture(scope="module")
def expected(model, states):
    """The weights of both networks with these states."""
    load_authors_state(model, **states)
    return model.generator.get_weights(), model.discriminator.get_weights()


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write_ckpt(folder, states, step="000350"):
    names = {"generator": generator_names(), "discriminator": discriminator_names()}
    for part, state in states.items():
        theirs = {name: port for port, name in mindspore_names(names[part]).items()}
        port = {theirs[name]: value for name, value in state.items()}
        for name in port:
            if name.endswith(("weight_u", "weight_v")):
                port[name] = port[name][:, None]
        write_mindspore(folder / f"{part}_{step}.ckpt", port, largest=4096)
    return folder / f"generator_{step}.ckpt"


def assert_weights(network, expected):
    for value, wanted in zip(network.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(value, wanted)


def record_of(folder):
    return json.loads((folder / "metadata.json").read_text())["keras_ctsdg"]


def test_authors_file_is_converted_to_a_preset(states, expected, home, tmp_path):
    counters = {"ec_texture_2.bn.num_batches_tracked": np.array(7)}
    source = write_torch(
        tmp_path / "CelebA.pt",
        n_iter=350000,
        generator=states["generator"] | counters,
        discriminator=states["discriminator"],
    )
    assert convert_checkpoint(source, "celeba") == home / "presets" / "celeba"
    model = keras_ctsdg.from_preset("celeba")
    assert (model.edges, model.generator.upsampling) == ("wrapped", "half_pixel")
    assert_weights(model.generator, expected[0])
    assert_weights(model.discriminator, expected[1])
    record = record_of(home / "presets" / "celeba")
    assert record["step"] == 350000
    assert record["source"]["file"] == "CelebA.pt"
    assert len(record["source"]["sha256"]) == 64


@pytest.mark.backend_independent
def test_bare_state_dict_becomes_a_generator(states, expected, tmp_path):
    source = write_torch(tmp_path / "bare.pt", **states["generator"])
    model = keras_ctsdg.from_preset(convert_checkpoint(source, tmp_path / "bare"))
    assert model.discriminator is None
    assert_weights(model.generator, expected[0])
    assert "step" not in record_of(tmp_path / "bare")


@pytest.mark.backend_independent
def test_mindspore_files_become_a_preset(states, expected, tmp_path):
    source = write_ckpt(tmp_path, states)
    model = keras_ctsdg.from_preset(convert_checkpoint(source, tmp_path / "port"))
    assert (model.edges, model.generator.upsampling) == ("wrapped", "align_corners")
    assert_weights(model.generator, expected[0])
    assert_weights(model.discriminator, expected[1])
    assert record_of(tmp_path / "port")["step"] == 350
    (tmp_path / "discriminator_000350.ckpt").unlink()
    model = keras_ctsdg.from_preset(convert_checkpoint(source, tmp_path / "alone"))
    assert model.discriminator is None


@pytest.mark.backend_independent
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_of_wrapping_modules_are_taken_off(prefix, states, expected, tmp_path):
    wrapped = {
        part: {f"{prefix}{name}": value for name, value in state.items()}
        for part, state in states.items()
    }
    source = write_torch(tmp_path / "parallel.pt", **wrapped)
    model = keras_ctsdg.from_preset(convert_checkpoint(source, tmp_path / "out"))
    assert_weights(model.generator, expected[0])
    assert_weights(model.discriminator, expected[1])
    bare = write_torch(tmp_path / "bare.pt", **wrapped["generator"])
    model = keras_ctsdg.from_preset(convert_checkpoint(bare, tmp_path / "bare"))
    assert_weights(model.generator, expected[0])


@pytest.mark.backend_independent
def test_missing_torch_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.pt").touch()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"keras-ctsdg\[torch\]"):
        convert_checkpoint(tmp_path / "a.pt", tmp_path / "out")


@pytest.mark.backend_independent
def test_existing_folders_are_not_overwritten(states, tmp_path):
    source = write_torch(tmp_path / "a.pt", **states["generator"])
    with pytest.raises(ValueError, match="Received: source=.*none.pt"):
        convert_checkpoint(tmp_path / "none.pt", tmp_path / "out")
    out = convert_checkpoint(source, tmp_path / "out")
    with pytest.raises(ValueError, match="`destination` must be a folder that does"):
        convert_checkpoint(source, out)
    convert_checkpoint(source, out, dtype="float16", overwrite=True)
    assert record_of(out)["dtype"] == "float16"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(ValueError, match="or a preset to be replaced"):
        convert_checkpoint(source, tmp_path / "mine", overwrite=True)


@pytest.mark.backend_independent
def test_interrupted_conversion_leaves_nothing(states, tmp_path, monkeypatch):
    source = write_torch(tmp_path / "a.pt", **states["generator"])

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_ctsdg.presets.files.build_card", interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert_checkpoint(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.backend_independent
def test_command(command, states, home, tmp_path):
    source = write_torch(tmp_path / "a.pt", n_iter=7, **states)
    code, stdout, _ = command("presets")
    assert code == 0
    assert "keras-ctsdg convert CHECKPOINT celeba" in stdout
    code, stdout, stderr = command("convert", source, "celeba")
    assert code == 0, stderr
    assert "Training steps: 7" in stdout
    assert str(home / "presets" / "celeba") in stdout
    assert "keras_ctsdg.from_preset('celeba')" in stdout
    code, stdout, _ = command("presets")
    assert f"celeba: {home / 'presets' / 'celeba'}" in stdout
    code, _, stderr = command("convert", source, "celeba")
    assert code == 1
    assert "Error: `destination` must be" in stderr
    assert "Traceback" not in stderr
