import numpy as np
import pytest

import keras_ctsdg
from keras_ctsdg.convert import (
    discriminator_names,
    generator_names,
    load_authors_state,
    load_torchvision_vgg16,
    vgg16_names,
)
from keras_ctsdg.models import Discriminator, Generator, VGG16Features
from tests.common import golden


@pytest.fixture(scope="module")
def model():
    return keras_ctsdg.CTSDG(Generator(filters=8), Discriminator(filters=8))


def fake_state(network, names, seed=0):
    """A state dict in the source's layout, of the size of a narrow network."""
    rng = np.random.default_rng(seed)
    shapes = {v.path: tuple(v.shape) for v in network.weights}
    state = {}
    for name, path in names.items():
        shape = shapes[path]
        if len(shape) == 4:
            shape = (shape[3], shape[2], shape[0], shape[1])
        state[name] = rng.normal(size=shape or (1,)).astype("float32")
    return state


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("generator", generator_names()),
        ("discriminator", discriminator_names()),
        ("vgg16_features", vgg16_names()),
    ],
)
def test_name_maps_cover_the_layout(part, names):
    theirs = {
        name
        for name in golden("manifest.json")[part]
        if "num_batches_tracked" not in name and "_branch.features." not in name
    }
    assert theirs == set(names)
    assert len(set(names.values())) == len(names)


def test_name_maps_reach_every_weight(model):
    paths = {v.path for v in model.generator.weights}
    assert paths == set(generator_names().values())
    paths = {v.path for v in model.discriminator.weights}
    assert paths == set(discriminator_names().values())


def test_kernels_are_turned(model):
    state = fake_state(model.generator, generator_names())
    load_authors_state(model, generator=state)
    kernel = model.generator.get_layer("texture_encoder_2").get_weights()[0]
    expected = state["ec_texture_2.conv.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)


def test_counters_and_aliases_are_passed_over(model):
    state = fake_state(model.discriminator, discriminator_names())
    state["edge_detector.projection.1.num_batches_tracked"] = np.array(7)
    state["texture_branch.features.0.weight_u"] = np.zeros(3)
    load_authors_state(model, discriminator=state)
    u = model.discriminator.get_layer("texture_conv_1").get_weights()[1]
    np.testing.assert_array_equal(u, state["texture_branch.conv1.0.weight_u"])


def test_what_does_not_fit_is_listed_and_nothing_changed(model):
    before = model.get_weights()
    generator = fake_state(model.generator, generator_names(), seed=1)
    discriminator = fake_state(model.discriminator, discriminator_names(), seed=1)
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


def test_nothing_to_load(model):
    with pytest.raises(ValueError, match="Received: generator=None"):
        load_authors_state(model)


def test_vgg_ignores_what_lies_deeper():
    vgg = VGG16Features(weights=None)
    state = fake_state(vgg, vgg16_names())
    deeper = {"features.28.weight": np.zeros((512, 512, 3, 3)), "classifier.0.bias": 0}
    load_torchvision_vgg16(vgg, state | deeper)
    kernel = vgg.get_layer("block3_conv3").get_weights()[0]
    expected = state["features.14.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected)
    with pytest.raises(ValueError, match="missing: features.0.bias"):
        load_torchvision_vgg16(vgg, {})
