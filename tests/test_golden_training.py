"""Training at full width, compared with the numbers of the original."""

import keras
import numpy as np
import pytest

import keras_ctsdg
from keras_ctsdg.checkpoints.name_maps import discriminator_names, generator_names
from keras_ctsdg.convert import load_authors_state, load_torchvision_vgg16
from keras_ctsdg.models import Discriminator, Generator, VGG16Features
from tests.common import assert_close
from tests.golden.seeded_weights import state_dict
from tests.golden_files import CASES, read_case, read_golden, sample_elements

pytestmark = pytest.mark.optimized


@pytest.fixture(scope="module")
def states():
    parts = ("generator", "discriminator", "vgg16_features")
    return {part: state_dict(part) for part in parts}


@pytest.fixture(scope="module")
def model(states):
    """A compiled model with the weights of seed 0, which `test_training` changes."""
    vgg = VGG16Features(weights=None)
    load_torchvision_vgg16(vgg, states["vgg16_features"])
    model = keras_ctsdg.CTSDG(Generator(), Discriminator())
    load_authors_state(model, states["generator"], states["discriminator"])
    model.compile(perceptual_network=vgg)
    return model


@pytest.mark.parametrize("case", CASES)
def test_vgg16(model, case):
    probes = read_golden(f"{case}_training.json")["vgg16_probes_nhwc"]
    _, inputs = read_case(case)
    features = model.perceptual_network.predict_on_batch(inputs["image"])
    for feature, probe in zip(features, probes.values(), strict=True):
        assert list(feature.shape) == probe["shape"]
        expected = np.array(probe["samples"])
        assert_close(sample_elements(feature, len(expected)), expected, atol=1e-5)
        assert np.linalg.norm(feature) == pytest.approx(probe["norm"], rel=1e-5)


def test_training(model, states):
    """Train four steps as the authors do."""
    reference = read_golden("s0_2x256x256_training.json")
    _, inputs = read_case("s0_2x256x256")
    for i, step in enumerate(reference["steps"]):
        logs = model.train_on_batch(inputs, return_dict=True)
        if i == 0:
            assert logs.pop("loss") == logs["generator_loss"]
            assert len(logs) == len(step) == 8
            for name, expected in step.items():
                value = logs[name.removeprefix("loss_")]
                assert value == pytest.approx(expected, rel=1e-3), name
            check_gradients(model, reference)
            check_buffers(model, reference["after_first_step"], states)
        else:
            for name in ("generator_loss", "discriminator_loss"):
                assert logs[name] == pytest.approx(step[name], rel=3e-2), (i, name)


def check_gradients(model, reference):
    """Compare gradients: after one step, Adam's first moment is a tenth of them."""
    for part, names in (
        ("generator", generator_names()),
        ("discriminator", discriminator_names()),
    ):
        optimizer = getattr(model, f"{part}_optimizer")
        moments = [v for v in optimizer.variables if v.path.endswith("_momentum")]
        variables = getattr(model, part).trainable_variables
        gradients = {
            variable.path: 10 * keras.ops.convert_to_numpy(moment)
            for variable, moment in zip(variables, moments, strict=True)
        }
        expected = reference[f"first_step_{part}_gradients"]
        expected = {name: expected[name] for name in expected if name in names}
        assert {names[name] for name in expected} == set(gradients)
        for name, probe in expected.items():
            gradient = gradients[names[name]]
            if gradient.ndim == 4:
                gradient = gradient.transpose(3, 2, 0, 1)
            if probe["norm"] > 1e-6:
                norm = np.linalg.norm(gradient)
                assert norm == pytest.approx(probe["norm"], rel=1e-2), name
                elements = sample_elements(gradient, len(probe["samples"]))
                assert_close(elements, probe["samples"], atol=1e-2 * probe["norm"])


def check_buffers(model, reference, states):
    """Compare moving statistics and power iterations after one step.

    The discriminator, which a step runs three times, has updated both three times.
    """
    values = {v.path: keras.ops.convert_to_numpy(v) for v in model.weights}
    for part, names in (
        ("generator", generator_names()),
        ("discriminator", discriminator_names()),
    ):
        checked = 0
        for name, probe in reference[part].items():
            if name not in names:
                continue
            value, expected = values[names[name]], np.array(probe["samples"])
            tolerance = 1e-4 * max(1.0, np.abs(expected).max())
            if name.endswith("running_var") and part == "generator":
                # The original's variance is unbiased: n / (n - 1) times ours.
                old = sample_elements(states[part][name], len(expected))
                n = count_positions(name)
                expected = 0.9 * old + (expected - 0.9 * old) * (n - 1) / n
            assert_close(
                sample_elements(value, len(expected)), expected, atol=tolerance
            )
            checked += 1
        assert checked == {"generator": 62, "discriminator": 16}[part]


def count_positions(name):
    """Return the elements per channel that a batch norm of the generator normalizes.

    For a batch of two images of 256 x 256 pixels.
    """
    stage = name.split(".")[0]
    if stage.startswith("ec_"):
        return 2 * (256 >> int(stage[-1])) ** 2
    if stage.startswith("dc_"):
        return 2 * (512 >> int(stage[-1])) ** 2
    return 2 * 256**2
