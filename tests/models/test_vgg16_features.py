import h5py
import keras
import numpy as np
import pytest

from keras_ctsdg.checkpoints.name_maps import vgg16_names
from keras_ctsdg.convert import load_torchvision_vgg16
from keras_ctsdg.models import VGG16Features
from tests.checkpoint_writers import random_source_state, write_torch
from tests.common import assert_close, assert_signature_is_config, to_numpy


def test_features():
    vgg = VGG16Features(weights=None)
    features = vgg(np.zeros((1, 64, 96, 3)))
    assert [tuple(f.shape) for f in features] == [
        (1, 32, 48, 64),
        (1, 16, 24, 128),
        (1, 8, 12, 256),
    ]


def test_is_frozen():
    assert VGG16Features(weights=None).trainable_variables == []


def test_imagenet_weights_are_those_of_keras_hub(monkeypatch):
    """Without a network, a KerasHub backbone takes the place of the preset."""
    import keras_hub

    backbone = keras_hub.models.VGGBackbone(
        stackwise_num_repeats=[2, 2, 3, 1, 1],
        stackwise_num_filters=[64, 128, 256, 16, 16],
        image_shape=(None, None, 3),
    )
    names = []

    def from_preset(name):
        names.append(name)
        return backbone

    monkeypatch.setattr(keras_hub.models.VGGBackbone, "from_preset", from_preset)
    vgg = VGG16Features(weights="imagenet")
    assert names == ["vgg_16_imagenet"]
    image = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype("float32")
    theirs = keras.Model(
        backbone.input,
        [backbone.get_layer(f"block{i}_pool").output for i in (1, 2, 3)],
    )(image)
    for ours, expected in zip(vgg(image), theirs, strict=True):
        assert_close(ours, keras.ops.convert_to_numpy(expected), 1e-5)


def test_failed_download_names_the_alternatives(monkeypatch):
    import keras_hub

    def from_preset(name):
        raise ConnectionError(name)

    monkeypatch.setattr(keras_hub.models.VGGBackbone, "from_preset", from_preset)
    with pytest.raises(OSError, match="Connect .*weights=.*perceptual_network"):
        VGG16Features()


def test_config():
    vgg = VGG16Features(weights=None)
    assert_signature_is_config(vgg)
    revived = VGG16Features.from_config(vgg.get_config())
    assert revived.get_config() == vgg.get_config()


# === Other sources ===

IMAGE = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype("float32")


@pytest.fixture(scope="module")
def application():
    """A model of `keras.applications` with random kernels and biases."""
    keras.utils.set_random_seed(1)
    model = keras.applications.VGG16(
        weights=None, include_top=False, input_shape=(None, None, 3)
    )
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, bias + np.random.normal(size=bias.shape)])
    return model


def pooled_features(model, image):
    outputs = [model.get_layer(f"block{i}_pool").output for i in (1, 2, 3)]
    return to_numpy(keras.Model(model.input, outputs)(image))


def assert_features(vgg, expected):
    for ours, theirs in zip(vgg(IMAGE), expected, strict=True):
        assert_close(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def save_model(model, folder):
    model.save(folder / "vgg16.keras")
    return folder / "vgg16.keras"


def save_weights(model, folder):
    model.save_weights(folder / "vgg16.weights.h5")
    return str(folder / "vgg16.weights.h5")


def save_like_applications(model, folder):
    """Write a file in the layout of those that `keras.applications` downloads."""
    with h5py.File(folder / "vgg16_weights_tf.h5", "w") as file:
        for layer in model.layers:
            group = file.create_group(layer.name)
            for name, value in zip("Wb", layer.get_weights(), strict=False):
                group[f"{layer.name}_{name}_1:0"] = value
    return folder / "vgg16_weights_tf.h5"


@pytest.mark.parametrize(
    "source",
    [lambda m, _: m, save_model, save_weights, save_like_applications],
)
def test_keras_applications_see_levels_minus_mean(application, source, tmp_path):
    expected = pooled_features(
        application,
        keras.applications.vgg16.preprocess_input((IMAGE + 1) * 127.5),
    )
    vgg = VGG16Features(source(application, tmp_path))
    assert vgg.input_scaling == "caffe"
    assert vgg.trainable_variables == []
    assert_features(vgg, expected)
    again = VGG16Features.from_config(vgg.get_config())
    again.set_weights(vgg.get_weights())
    assert_features(again, expected)
    assert_features(VGG16Features(vgg), expected)


def test_keras_cv_sees_images_in_0_to_1(application):
    """A class with the name of KerasCV's, which has the same layers."""
    kind = type("VGG16Backbone", (keras.Model,), {"__module__": "keras_cv.src.models"})
    backbone = kind(application.input, application.output)
    vgg = VGG16Features(backbone)
    assert vgg.input_scaling == "unit"
    assert_features(vgg, pooled_features(application, (IMAGE + 1) / 2))


def test_torchvision_sees_images_as_they_are(tmp_path):
    vgg = VGG16Features(weights=None)
    state = random_source_state(vgg, vgg16_names())
    deeper = {"features.28.weight": np.zeros((512, 512, 3, 3), "float32")}
    path = write_torch(tmp_path / "vgg16-397923af.pth", **state, **deeper)
    read = VGG16Features(str(path))
    assert read.input_scaling == "as_is"
    load_torchvision_vgg16(vgg, state)
    assert_features(read, to_numpy(vgg(IMAGE)))


def test_input_scaling_can_be_given(application):
    vgg = VGG16Features(application, input_scaling="as_is")
    assert_features(vgg, pooled_features(application, IMAGE))
    with pytest.raises(ValueError, match="Received: input_scaling='bytes'"):
        VGG16Features(weights=None, input_scaling="bytes")


def test_other_networks_are_rejected(tmp_path):
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    for source in (other, save_model(other, tmp_path), save_weights(other, tmp_path)):
        with pytest.raises(ValueError, match="missing: block1_conv1/kernel"):
            VGG16Features(source)
    (tmp_path / "damaged.keras").write_bytes(b"PK")
    (tmp_path / "damaged.h5").write_bytes(b"x")
    for name in ("damaged.keras", "damaged.h5"):
        with pytest.raises(ValueError, match=f"Received: weights=.*{name}"):
            VGG16Features(tmp_path / name)


@pytest.mark.parametrize("weights", ["none.pth", "vgg.txt", 16])
def test_bad_arguments(weights):
    with pytest.raises(ValueError, match=f"Received: weights={weights!r}"):
        VGG16Features(weights=weights)
