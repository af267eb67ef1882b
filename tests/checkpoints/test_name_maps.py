import numpy as np
import pytest

from keras_ctsdg.checkpoints.name_maps import (
    discriminator_names,
    generator_names,
    mindspore_names,
    rename_mindspore_state,
    vgg16_names,
)
from keras_ctsdg.models import Discriminator, Generator
from tests.golden_files import read_golden

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("generator", generator_names()),
        ("discriminator", discriminator_names()),
        ("vgg16_features", vgg16_names()),
    ],
)
def test_name_maps_cover_the_checkpoint(part, names):
    theirs = {
        name
        for name in read_golden("manifest.json")[part]
        if "num_batches_tracked" not in name and "_branch.features." not in name
    }
    assert theirs == set(names)
    assert len(set(names.values())) == len(names)


def test_name_maps_reach_every_weight():
    paths = {v.path for v in Generator(filters=4).weights}
    assert paths == set(generator_names().values())
    paths = {v.path for v in Discriminator(filters=4).weights}
    assert paths == set(discriminator_names().values())


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_mindspore_names(part):
    names = {"generator": generator_names(), "discriminator": discriminator_names()}
    assert mindspore_names(names[part]) == read_golden("mindspore_names.json")[part]


def test_mindspore_state_gets_the_authors_names_and_shapes():
    state = {
        "texture_branch.conv5.weight_u": np.ones((4, 1)),
        "texture_branch.conv5.weight_orig": np.ones((4, 1, 4, 4)),
    }
    renamed = rename_mindspore_state(state, discriminator_names())
    assert {name: value.shape for name, value in renamed.items()} == {
        "texture_branch.conv5.0.weight_u": (4,),
        "texture_branch.conv5.0.weight_orig": (4, 1, 4, 4),
    }
    assert state["texture_branch.conv5.weight_u"].shape == (4, 1)


def test_unknown_names_of_mindspore_are_kept():
    state = {"ec_texture_layers.0.conv.conv.weight": np.ones(2), "lr": np.ones(1)}
    renamed = rename_mindspore_state(state, generator_names())
    assert set(renamed) == {"ec_texture_1.conv.weight", "lr"}
