import pytest

from keras_ctsdg.checkpoints.name_maps import (
    discriminator_names,
    generator_names,
    mindspore_names,
    vgg16_names,
)
from keras_ctsdg.models import Discriminator, Generator
from tests.common import golden


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


def test_name_maps_reach_every_weight():
    paths = {v.path for v in Generator(filters=8).weights}
    assert paths == set(generator_names().values())
    paths = {v.path for v in Discriminator(filters=8).weights}
    assert paths == set(discriminator_names().values())


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_mindspore_names(part):
    names = {"generator": generator_names(), "discriminator": discriminator_names()}
    assert mindspore_names(names[part]) == golden("mindspore_names.json")[part]
