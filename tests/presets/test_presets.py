import json
import warnings
import zipfile

import keras
import numpy as np
import pytest

import keras_ctsdg
from keras_ctsdg.models import Discriminator, Generator
from tests.common import random_batch, to_numpy


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    networks = (
        Generator(filters=8, upsampling="align_corners"),
        Discriminator(filters=8),
    )
    return keras_ctsdg.CTSDG(*networks, edges="wrapped")


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "presets"


def assert_equal_weights(networks, others):
    for network, other in zip(networks, others, strict=True):
        pairs = zip(network.get_weights(), other.get_weights(), strict=True)
        for value, expected in pairs:
            np.testing.assert_array_equal(value, expected)


def networks_of(model):
    return model.generator, model.discriminator


# === Sources ===


def test_a_folder_is_complete(model, tmp_path):
    model.save_to_preset(tmp_path / "preset")
    names = {path.name for path in (tmp_path / "preset").iterdir()}
    assert names == {"README.md", "config.json", "metadata.json", "model.weights.h5"}
    revived = keras_ctsdg.from_preset(str(tmp_path / "preset"))
    assert (revived.edges, revived.generator.upsampling) == ("wrapped", "align_corners")
    assert_equal_weights(networks_of(revived), networks_of(model))
    assert revived.get_config() == model.get_config()
    # Keras' own loader can read the folder, too.
    assert isinstance(keras.saving.load_model(tmp_path / "preset"), keras_ctsdg.CTSDG)


def test_loads_by_name(model, home):
    model.save_to_preset(home / "mine", with_discriminator=False)
    entry = keras_ctsdg.list_presets()["mine"]
    assert entry["installed"]
    assert entry["path"] == str(home / "mine")
    assert entry["parameters"] == 819_029
    assert entry["size"] == (home / "mine" / "model.weights.h5").stat().st_size
    revived = keras_ctsdg.from_preset("mine")
    assert revived.discriminator is None
    assert_equal_weights([revived.generator], [model.generator])


def test_loads_a_trained_file(tmp_path):
    """Its optimizers and perceptual network are not loaded."""
    trained = keras_ctsdg.CTSDG(Generator(filters=8), Discriminator(filters=8))
    vgg = keras_ctsdg.models.VGG16Features(weights=None)
    trained.compile(perceptual_network=vgg)
    trained.save(tmp_path / "model.keras")
    revived = keras_ctsdg.from_preset(tmp_path / "model.keras")
    assert not revived.compiled
    assert revived.perceptual_network is None
    assert_equal_weights(networks_of(revived), networks_of(trained))
    revived.compile(perceptual_network=vgg)


@pytest.mark.backend_independent
def test_loads_from_hugging_face(model, monkeypatch, tmp_path):
    """The client of the hub finds the files in its cache."""
    cached = tmp_path / "hub" / "models--owner--faces"
    model.save_to_preset(cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    revived = keras_ctsdg.from_preset("hf://owner/faces")
    assert_equal_weights(networks_of(revived), networks_of(model))
    with pytest.raises(OSError, match="Received: preset=hf://owner/none"):
        keras_ctsdg.from_preset("hf://owner/none")


@pytest.mark.backend_independent
def test_loads_from_kaggle(model, monkeypatch, tmp_path):
    cached = tmp_path / "models" / "owner" / "faces" / "keras" / "small"
    model.save_to_preset(cached / "1")
    (cached / "1.complete").touch()
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    revived = keras_ctsdg.from_preset("kaggle://owner/faces/keras/small/1")
    assert_equal_weights(networks_of(revived), networks_of(model))
    with pytest.raises(OSError, match="Received: preset=kaggle://faces"):
        keras_ctsdg.from_preset("kaggle://faces")


@pytest.mark.backend_independent
def test_from_preset_is_a_method_too(small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "preset")
    model = keras_ctsdg.CTSDG.from_preset(tmp_path / "preset")
    assert type(model) is keras_ctsdg.CTSDG
    batch = random_batch(2)
    np.testing.assert_allclose(
        model.predict_on_batch(batch), small_model.predict_on_batch(batch), atol=1e-6
    )
    assert keras_ctsdg.CTSDG.from_preset is keras_ctsdg.from_preset


# === Options ===


def test_dtype_is_set_for_both_networks(model, tmp_path):
    model.save_to_preset(tmp_path / "preset")
    revived = keras_ctsdg.from_preset(tmp_path / "preset", dtype="mixed_bfloat16")
    policies = [x.dtype_policy.name for x in (revived, *networks_of(revived))]
    assert policies == ["mixed_bfloat16"] * 3
    assert_equal_weights(networks_of(revived), networks_of(model))


def test_architecture_without_weights(model, tmp_path):
    model.save_to_preset(tmp_path / "preset")
    keras.utils.set_random_seed(2)
    random = keras_ctsdg.from_preset(tmp_path / "preset", load_weights=False)
    kernels = [x.generator.get_weights()[0] for x in (random, model)]
    assert (kernels[0] != kernels[1]).any()


def test_generator_without_discriminator(model, tmp_path):
    model.save_to_preset(tmp_path / "preset")
    revived = keras_ctsdg.from_preset(tmp_path / "preset", with_discriminator=False)
    assert revived.discriminator is None
    assert_equal_weights([revived.generator], [model.generator])
    with pytest.raises(ValueError, match="Received: discriminator=None"):
        revived.compile()


def test_float16_has_half_the_size(model, tmp_path):
    """How such a preset fills is tested at full width, against the original."""
    model.save_to_preset(tmp_path / "full")
    model.save_to_preset(tmp_path / "half", dtype="float16")
    full, half = (
        (tmp_path / name / "model.weights.h5").stat().st_size
        for name in ("full", "half")
    )
    # In a narrow network, biases, statistics and headers are a larger part.
    assert half < 0.62 * full
    revived = keras_ctsdg.from_preset(tmp_path / "half")
    for value, original in zip(revived.weights, model.weights, strict=True):
        value, original = to_numpy(value), to_numpy(original)
        assert value.dtype == "float32"
        # A float16 has 11 significant bits.
        np.testing.assert_allclose(value, original, rtol=2**-11, atol=1e-7)


@pytest.mark.backend_independent
def test_metadata_and_card(model, home):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.compile()
    model.optimizer.iterations.assign(12)
    model.save_to_preset(home / "mine")
    metadata = json.loads((home / "mine" / "metadata.json").read_text())
    assert metadata["keras_version"] == keras.__version__
    assert metadata["keras_ctsdg"]["step"] == 12
    card = (home / "mine" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: keras\n")
    assert "| Training steps | 12 |" in card
    assert "generator 819,029, discriminator 88,851" in card


# === Errors ===


@pytest.mark.backend_independent
def test_missing_preset_error_says_where_to_get_it():
    with pytest.raises(FileNotFoundError) as error:
        keras_ctsdg.from_preset("celeba")
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert "nothing was downloaded" in lines[0]
    assert "drive.google.com" in lines[0]
    assert "keras-ctsdg convert CHECKPOINT celeba" in lines[1]
    assert "Received: preset='celeba'" in lines[2]
    entry = keras_ctsdg.list_presets()["celeba"]
    assert not entry["installed"]
    assert entry["parameters"] == 52_147_789 + 5_531_729


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("celebb", r"one of \['demo', 'celeba'\].*Received: preset='celebb'"),
        ("none/at/all", "Received: preset=none/at/all"),
        (3, "Received: preset=3 of type int"),
    ],
)
@pytest.mark.backend_independent
def test_unknown_presets_are_rejected(preset, message):
    with pytest.raises(ValueError, match=message):
        keras_ctsdg.from_preset(preset)


@pytest.mark.backend_independent
def test_folders_without_a_preset_are_rejected(model, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="without config.json and model.weights.h5"):
        keras_ctsdg.from_preset(tmp_path / "empty")
    model.save_to_preset(tmp_path / "preset")
    for content in ("{", "[]", '{"class_name": "Dense"}'):
        (tmp_path / "preset" / "config.json").write_text(content)
        with pytest.raises(ValueError, match="Received: .*preset"):
            keras_ctsdg.from_preset(tmp_path / "preset")


@pytest.mark.backend_independent
def test_files_of_other_models_are_rejected(model, tmp_path):
    dense = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    dense.save(tmp_path / "dense.keras")
    model.generator.save(tmp_path / "generator.keras")
    for name in ("dense", "generator"):
        with pytest.raises(ValueError, match=f"Received: .*{name}.keras"):
            keras_ctsdg.from_preset(tmp_path / f"{name}.keras")


@pytest.mark.backend_independent
def test_code_in_a_file_is_not_run(model, tmp_path):
    """The file has a function where the dtype policy belongs."""
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    lambda_layer = keras.layers.Lambda(lambda x: pytest.fail("it was run"))
    serialized = keras.saving.serialize_keras_object(lambda_layer)
    config["config"]["generator"]["config"]["dtype"] = serialized
    with zipfile.ZipFile(tmp_path / "hostile.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)
    with pytest.raises(ValueError, match="Received: .*hostile.keras"):
        keras_ctsdg.from_preset(tmp_path / "hostile.keras")


def test_damaged_weights_are_rejected(model, tmp_path):
    model.save_to_preset(tmp_path / "preset")
    weights = tmp_path / "preset" / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:-100_000])
    with pytest.raises(
        ValueError, match="weights cannot be loaded.*Received: .*preset"
    ):
        keras_ctsdg.from_preset(tmp_path / "preset")


@pytest.mark.backend_independent
def test_config_wider_than_its_weights_is_not_allocated(model, tmp_path):
    model.save_to_preset(tmp_path / "preset")
    path = tmp_path / "preset" / "config.json"
    config = json.loads(path.read_text())
    config["config"]["generator"]["config"]["filters"] = 40_000
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="bytes for filters=40000"):
        keras_ctsdg.from_preset(tmp_path / "preset")


@pytest.mark.backend_independent
def test_saving_overwrites_only_presets_and_only_on_request(model, tmp_path):
    model.save_to_preset(tmp_path / "preset")
    with pytest.raises(ValueError, match="Received: folder=.*overwrite=False"):
        model.save_to_preset(tmp_path / "preset")
    model.save_to_preset(tmp_path / "preset", overwrite=True, with_discriminator=False)
    assert keras_ctsdg.from_preset(tmp_path / "preset").discriminator is None
    with pytest.raises(ValueError, match="Received: dtype='int8'"):
        model.save_to_preset(tmp_path / "other", dtype="int8")
    assert [path.name for path in tmp_path.iterdir()] == ["preset"]


@pytest.mark.backend_independent
def test_values_beyond_float16_are_rejected(tmp_path):
    large = keras_ctsdg.CTSDG(Generator(filters=8))
    large.generator.weights[0].assign(large.generator.weights[0] + 1e5)
    with pytest.raises(ValueError, match="within 65504 .*Received: up to"):
        large.save_to_preset(tmp_path / "half", dtype="float16")
    assert not list(tmp_path.iterdir())
