"""The full-width networks against the original's numbers."""

import keras
import numpy as np
import pytest

import keras_ctsdg
from keras_ctsdg.checkpoints.name_maps import (
    discriminator_names,
    generator_names,
    mindspore_names,
)
from keras_ctsdg.convert import load_torchvision_vgg16
from keras_ctsdg.models import VGG16Features
from keras_ctsdg.quickstart import psnr
from tests.common import (
    NETWORK_INPUTS,
    assert_close,
    convert_by_command,
    golden,
    sample,
    to_numpy,
    write_mindspore,
    write_torch,
)
from tests.golden.seeded_weights import state_dict

pytestmark = pytest.mark.large

CASES = ("s0_2x256x256", "s0_1x128x256")


@pytest.fixture(scope="module")
def states():
    parts = ("generator", "discriminator", "vgg16_features")
    return {part: state_dict(part) for part in parts}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A preset home of this file's own, with room for checkpoints beside it."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_CTSDG_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def model(states, home):
    """The authors' file with seed-0 weights, converted by the command and loaded by
    name; the training test is its last."""
    parts = {part: states[part] for part in ("generator", "discriminator")}
    source = write_torch(home / "CelebA.pt", n_iter=350000, **parts)
    seconds, gigabytes = convert_by_command(source, "celeba")
    assert seconds < 60
    assert gigabytes < 1.5 * 1.024**3  # 1.5 GiB
    source.unlink()
    model = keras_ctsdg.from_preset("celeba")
    vgg = VGG16Features(weights=None)
    load_torchvision_vgg16(vgg, states["vgg16_features"])
    model.compile(perceptual_network=vgg)
    return model


def case_inputs(case):
    numbers = golden(f"{case}_inference.npz")
    return numbers, {key: numbers[key] for key in NETWORK_INPUTS}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def first_to_part(generator, probes, inputs):
    """Names the first module whose numbers are not the original's."""
    places = probe_places(generator)
    inspector = keras.Model(generator.input, {k: places[k] for k in probes})
    values = inspector.predict_on_batch(inputs)
    for name, probe in probes.items():
        expected = np.array(probe["samples"])
        error = np.abs(sample(values[name], len(expected)) - expected).max()
        if error > 1e-4 * max(1.0, probe["std"]):
            return f"{name} parted first, by {error:.1e}"
    return "no module parted"


def probe_places(generator):
    """Where in our graph the original's modules end."""

    def output(name):
        return generator.get_layer(name).output

    places = {}
    for stream in ("texture", "structure"):
        for i in range(1, 8):
            places[f"ec_{stream}_{i}"] = output(f"{stream}_encoder_{i}_relu")
            places[f"dc_{stream}_{i}"] = output(f"{stream}_decoder_{i}_relu")
    cfa = generator.get_layer("contextual_aggregation")
    reduced = output("refinement_down_relu")
    return places | {
        "texture_feature_projection": output("projected_image"),
        "structure_feature_projection": output("projected_edge"),
        "bigff": output("gated_fusion"),
        "fusion_layer1": reduced,
        "cfa.ral": cfa.region_affinity((reduced, reduced)),
        "cfa": output("contextual_aggregation"),
        "fusion_layer2": output("refinement_merge_relu"),
        "out_layer": output("output_image"),
    }


@pytest.mark.parametrize("case", CASES)
def test_generator(model, case):
    numbers, inputs = case_inputs(case)
    outputs = model.generator.predict_on_batch(inputs)
    try:
        assert_close(outputs["image"], numbers["output"], atol=1e-4)
        for name in ("projected_image", "projected_edge"):
            assert_close(outputs[name], numbers[name], atol=1e-5)
    except AssertionError as error:
        probes = golden(f"{case}_training.json")["inference_probes_nhwc"]
        place = first_to_part(model.generator, probes, inputs)
        raise AssertionError(f"{place}\n{error}") from error


def test_every_module(model):
    case = "s0_1x128x256"
    _, inputs = case_inputs(case)
    probes = golden(f"{case}_training.json")["inference_probes_nhwc"]
    assert set(probes) == set(probe_places(model.generator))
    assert first_to_part(model.generator, probes, inputs) == "no module parted"


@pytest.mark.parametrize("case", CASES)
def test_compiled_generator(model, case):
    """XLA, where the backend has it: TensorFlow on a CPU runs without by default."""
    numbers, inputs = case_inputs(case)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        function = tf.function(model.generator, jit_compile=True)
        inputs = {key: tf.constant(value) for key, value in inputs.items()}
    else:
        function = model.generator.predict_on_batch
    outputs = to_numpy(function(inputs))
    assert_close(outputs["image"], numbers["output"], atol=1e-4)
    assert_close(outputs["projected_image"], numbers["projected_image"], atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_discriminator(model, case):
    numbers, inputs = case_inputs(case)
    pictures = {
        "real": inputs,
        "fake": {"image": numbers["output"], "gray": inputs["gray"]},
    }
    for kind, picture in pictures.items():
        judged = to_numpy(model.discriminator(picture))
        prediction = sigmoid(judged["patch_logits"])
        assert_close(prediction, numbers[f"{kind}_prediction"], atol=1e-5)
        edge = sigmoid(judged["edge_logits"])
        assert_close(edge, numbers[f"{kind}_edge"], atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_vgg16(model, case):
    probes = golden(f"{case}_training.json")["vgg16_probes_nhwc"]
    _, inputs = case_inputs(case)
    features = model.perceptual_network.predict_on_batch(inputs["image"])
    for feature, probe in zip(features, probes.values(), strict=True):
        assert list(feature.shape) == probe["shape"]
        expected = np.array(probe["samples"])
        assert_close(sample(feature, len(expected)), expected, atol=1e-5)
        assert np.linalg.norm(feature) == pytest.approx(probe["norm"], rel=1e-5)


def test_half_precision_files(model, home):
    """Half the size, and pictures that no one can tell apart."""
    model.save_to_preset(home / "presets" / "half", "float16")
    presets = keras_ctsdg.list_presets()
    assert presets["half"]["size"] < 0.51 * presets["celeba"]["size"]
    _, inputs = case_inputs("s0_1x128x256")
    expected = model.predict_on_batch(inputs)
    filled = keras_ctsdg.from_preset("half").predict_on_batch(inputs)
    assert_close(filled, expected, atol=2e-2)
    assert psnr(filled, expected) > 45


def test_mindspore(states, home):
    """Both of the port's files, converted by the command and loaded by name."""
    for part, names in (
        ("generator", generator_names()),
        ("discriminator", discriminator_names()),
    ):
        ours = mindspore_names(names)
        state = {port: states[part][name] for port, name in ours.items()}
        write_mindspore(home / f"{part}_000350.ckpt", state, largest=2**24)
    convert_by_command(home / "generator_000350.ckpt", "port")
    generator = keras_ctsdg.from_preset("port").generator
    numbers = golden("mindspore_s0_1x128x256_inference.npz")
    _, inputs = case_inputs("s0_1x128x256")
    outputs = generator.predict_on_batch(inputs)
    assert_close(outputs["image"], numbers["output"], atol=3e-4)
    for name in ("projected_image", "projected_edge"):
        assert_close(outputs[name], numbers[name], atol=1e-5)


def test_training(model, states):
    """Four steps as the authors take them."""
    reference = golden("s0_2x256x256_training.json")
    _, inputs = case_inputs("s0_2x256x256")
    for i, step in enumerate(reference["steps"]):
        logs = model.train_on_batch(inputs, return_dict=True)
        if i == 0:
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
    """After one step Adam's first moment is a tenth of the first gradient."""
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
                some = sample(gradient, len(probe["samples"]))
                assert_close(some, probe["samples"], atol=1e-2 * probe["norm"])


def check_buffers(model, reference, states):
    """Batch statistics after one step (three in the discriminator), and u."""
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
                # The original's is unbiased: n / (n - 1) times ours, n known from
                # the map's size.
                old = sample(states[part][name], len(expected))
                n = positions(name)
                expected = 0.9 * old + (expected - 0.9 * old) * (n - 1) / n
            assert_close(sample(value, len(expected)), expected, atol=tolerance)
            checked += 1
        assert checked == {"generator": 62, "discriminator": 16}[part]


def positions(name):
    """Elements a channel that a batch norm of the generator sees, 2 x 256 x 256."""
    stage = name.split(".")[0]
    if stage.startswith("ec_"):
        return 2 * (256 >> int(stage[-1])) ** 2
    if stage.startswith("dc_"):
        return 2 * (512 >> int(stage[-1])) ** 2
    return 2 * 256**2
