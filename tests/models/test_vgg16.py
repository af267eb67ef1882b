import keras
import numpy as np
import pytest

from keras_ctsdg.models import VGG16Features
from tests.common import assert_close, assert_signature_is_config


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
    """The preset is not to be had here: a KerasHub backbone stands in for it."""
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


def test_without_a_network_the_ways_out_are_named(monkeypatch):
    import keras_hub

    def from_preset(name):
        raise ConnectionError(name)

    monkeypatch.setattr(keras_hub.models.VGGBackbone, "from_preset", from_preset)
    with pytest.raises(OSError, match="load_torchvision_vgg16.*perceptual_network"):
        VGG16Features()


def test_config():
    vgg = VGG16Features(weights=None)
    assert_signature_is_config(vgg)
    revived = VGG16Features.from_config(vgg.get_config())
    assert revived.get_config() == vgg.get_config()


def test_bad_arguments():
    with pytest.raises(ValueError, match="Received: weights='vgg.pth'"):
        VGG16Features(weights="vgg.pth")
