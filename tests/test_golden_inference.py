"""Inference at full width, compared with the numbers of the original."""

import keras
import numpy as np
import pytest

import keras_ctsdg
from tests.checkpoint_writers import write_torch
from tests.common import assert_close, call_compiled, to_numpy
from tests.golden.seeded_weights import state_dict
from tests.golden_files import CASES, read_case, read_golden, sample_elements
from tests.processes import convert_by_command


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home for presets that only this file uses, and a folder for checkpoints."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_CTSDG_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def model(home):
    """A model of an authors' checkpoint, converted by the command, loaded by name."""
    parts = {part: state_dict(part) for part in ("generator", "discriminator")}
    source = write_torch(home / "CelebA.pt", n_iter=350000, **parts)
    seconds, gigabytes = convert_by_command(source, "celeba")
    assert seconds < 60
    # Less than six times the size of the file.
    assert gigabytes < 1.3
    source.unlink()
    return keras_ctsdg.from_preset("celeba")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def find_first_difference(generator, probes, inputs):
    """Return the first module whose output is not the original's, or `None`."""
    outputs = module_outputs(generator)
    inspector = keras.Model(generator.input, {name: outputs[name] for name in probes})
    values = inspector.predict_on_batch(inputs)
    for name, probe in probes.items():
        expected = np.array(probe["samples"])
        error = np.abs(sample_elements(values[name], len(expected)) - expected).max()
        if error > 1e-4 * max(1.0, probe["std"]):
            return f"{name} differs first, by {error:.1e}"
    return None


def module_outputs(generator):
    """Return the symbolic outputs in our graph of the original's modules, by name."""

    def output(name):
        return generator.get_layer(name).output

    outputs = {}
    for stream in ("texture", "structure"):
        for i in range(1, 8):
            outputs[f"ec_{stream}_{i}"] = output(f"{stream}_encoder_{i}_relu")
            outputs[f"dc_{stream}_{i}"] = output(f"{stream}_decoder_{i}_relu")
    cfa = generator.get_layer("contextual_aggregation")
    reduced = output("refinement_down_relu")
    return outputs | {
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
    numbers, inputs = read_case(case)
    outputs = model.generator.predict_on_batch(inputs)
    try:
        assert_close(outputs["image"], numbers["output"], atol=1e-4)
        for name in ("projected_image", "projected_edge"):
            assert_close(outputs[name], numbers[name], atol=1e-5)
    except AssertionError as error:
        probes = read_golden(f"{case}_training.json")["inference_probes_nhwc"]
        difference = find_first_difference(model.generator, probes, inputs)
        raise AssertionError(f"{difference}\n{error}") from error


def test_every_module(model):
    case = "s0_1x128x256"
    _, inputs = read_case(case)
    probes = read_golden(f"{case}_training.json")["inference_probes_nhwc"]
    assert set(probes) == set(module_outputs(model.generator))
    assert find_first_difference(model.generator, probes, inputs) is None


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="JAX always compiles by XLA, as in `test_generator`, and PyTorch never does",
)
@pytest.mark.parametrize("case", CASES)
def test_generator_with_xla(model, case):
    """On a CPU, TensorFlow does not use XLA by default."""
    import tensorflow as tf

    numbers, inputs = read_case(case)
    generate = tf.function(model.generator, jit_compile=True)
    inputs = {key: tf.constant(value) for key, value in inputs.items()}
    outputs = to_numpy(generate(inputs))
    assert_close(outputs["image"], numbers["output"], atol=1e-4)
    assert_close(outputs["projected_image"], numbers["projected_image"], atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_discriminator(model, case):
    numbers, inputs = read_case(case)
    images = {
        "real": inputs,
        "fake": {"image": numbers["output"], "gray": inputs["gray"]},
    }
    for kind, image in images.items():
        outputs = to_numpy(call_compiled(model.discriminator, image))
        prediction = sigmoid(outputs["patch_logits"])
        assert_close(prediction, numbers[f"{kind}_prediction"], atol=1e-5)
        edge = sigmoid(outputs["edge_logits"])
        assert_close(edge, numbers[f"{kind}_edge"], atol=1e-5)


def test_half_precision_files(model, home):
    """A preset in half precision is half as large, and fills visibly the same."""
    model.save_to_preset(home / "presets" / "half", "float16")
    presets = keras_ctsdg.list_presets()
    assert presets["half"]["size"] < 0.51 * presets["celeba"]["size"]
    _, inputs = read_case("s0_1x128x256")
    expected = model.predict_on_batch(inputs)
    filled = keras_ctsdg.from_preset("half").predict_on_batch(inputs)
    assert_close(filled, expected, atol=2e-2)
    # Images range from -1 to 1, so their peak is 2.
    psnr = 20 * np.log10(2) - 10 * np.log10(np.mean((filled - expected) ** 2))
    assert psnr > 45
