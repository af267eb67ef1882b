import keras
import numpy as np
import pytest

from keras_ctsdg.conventions import Upsampling
from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.models._initializers import skip_initialization
from tests.common import (
    EAGER_ON_TENSORFLOW,
    NETWORK_INPUTS,
    assert_close,
    assert_signature_is_config,
    call_compiled,
    random_batch,
    to_numpy,
)
from tests.gradients import assert_gradients_reach


@pytest.fixture(scope="module")
def generator():
    keras.utils.set_random_seed(1)
    generator = Generator(filters=4)
    generator.run_eagerly = EAGER_ON_TENSORFLOW
    return generator


def test_parameters_at_full_width():
    with skip_initialization():
        trainable = Generator().trainable_variables
    assert sum(int(np.prod(v.shape)) for v in trainable) == 52_147_789


def test_outputs(generator):
    outputs = generator.predict_on_batch(random_batch(2))
    shapes = {key: value.shape for key, value in outputs.items()}
    assert shapes == {
        "image": (2, 128, 128, 3),
        "projected_image": (2, 128, 128, 3),
        "projected_edge": (2, 128, 128, 1),
    }
    assert np.abs(outputs["image"]).max() <= 1
    assert 0 <= outputs["projected_edge"].min() <= outputs["projected_edge"].max() <= 1


def test_call_for_image_skips_the_projections(generator, monkeypatch):
    batch = random_batch(2)
    expected = generator.predict_on_batch(batch)["image"]
    projection = generator.get_layer("projected_image_conv_1")
    monkeypatch.setattr(projection, "call", lambda x: pytest.fail("not needed"))
    found = call_compiled(generator.call_for_image, batch)
    assert_close(found, expected, 1e-6)
    with pytest.raises(ValueError, match="Received"):
        generator.call_for_image({"image": batch["image"]})


def test_takes_any_size_if_none_is_given(generator):
    assert generator.input["image"].shape == (None, None, None, 3)
    outputs = generator.predict_on_batch(random_batch(1, 128, 256))
    assert outputs["image"].shape == (1, 128, 256, 3)


def test_fixed_size():
    fixed = Generator(image_shape=(128, 256, 3), filters=4)
    fixed.run_eagerly = EAGER_ON_TENSORFLOW
    assert fixed.output["image"].shape == (None, 128, 256, 3)
    outputs = fixed.predict_on_batch(random_batch(1, 128, 256))
    assert outputs["image"].shape == (1, 128, 256, 3)


def test_values_in_the_hole_are_ignored(generator):
    batch = random_batch()
    changed = dict(batch)
    for key in ("image", "gray", "edge"):
        changed[key] = np.where(batch["mask"] == 1, 0.7, batch[key]).astype("float32")
    outputs, others = map(generator.predict_on_batch, (batch, changed))
    for key in outputs:
        np.testing.assert_allclose(outputs[key], others[key], atol=1e-6)


def test_all_values_outside_the_hole_are_used(generator):
    batch = random_batch()
    image = generator.predict_on_batch(batch)["image"]
    for key in ("image", "gray", "edge"):
        changed = batch | {key: batch[key] * (1 - 0.9 * (1 - batch["mask"]))}
        other = generator.predict_on_batch(changed)["image"]
        assert np.abs(other - image).max() > 0, key


def test_upsampling_changes_the_output(generator):
    aligned = Generator(filters=4, upsampling="align_corners")
    aligned.run_eagerly = EAGER_ON_TENSORFLOW
    aligned.set_weights(generator.get_weights())
    batch = random_batch()
    images = [g.predict_on_batch(batch)["image"] for g in (aligned, generator)]
    assert np.abs(images[0] - images[1]).max() > 1e-6


def test_upsampling_of_the_enum_is_saved_as_str():
    config = Generator(filters=4, upsampling=Upsampling.ALIGN_CORNERS).get_config()
    assert config["upsampling"] == "align_corners"
    assert type(config["upsampling"]) is str


@pytest.mark.parametrize(
    ("height", "width", "gigabytes"),
    [
        # Features take 12 * 64 * 256 * 256 floats; the attention takes at least
        # 8 * 2**21 floats.
        (256, 256, 4 * (50_331_648 + 16_777_216) / 1e9),
        # Two rows of 256 queries attend to 256 * 256 positions: 8 * 33,554,432 floats.
        (1024, 1024, 4 * (805_306_368 + 268_435_456) / 1e9),
    ],
)
def test_memory_estimate(height, width, gigabytes):
    with skip_initialization():
        generator = Generator(filters=64)
    assert generator.estimate_memory(height, width) == pytest.approx(gigabytes)


def test_memory_estimate_of_narrow_and_oblong():
    with skip_initialization():
        generator = Generator(filters=8)
    # The attention has 2 rows of 32 queries and 256 * 32 positions, fewer scores than
    # its minimum of 2**21.
    expected = 4 * (12 * 8 * 1024 * 128 + 8 * 2**21) / 1e9
    assert generator.estimate_memory(1024, 128) == pytest.approx(expected)


def test_call_with_logits_returns_the_logits_of_the_edge(generator):
    batch = random_batch(2)
    outputs = to_numpy(call_compiled(generator.call_with_logits, batch))
    edge = 1 / (1 + np.exp(-outputs["projected_edge_logits"]))
    assert_close(edge, outputs["projected_edge"], 1e-6)


def test_gradients_reach_every_weight(generator):
    fusion = generator.get_layer("gated_fusion")
    fusion.structure_gamma.assign(0.5)
    fusion.texture_gamma.assign(0.5)
    # The bottleneck has one pixel per image, so batch normalization needs two images.
    batch = random_batch(2)

    def loss():
        outputs = generator(batch, training=True)
        return sum(keras.ops.mean(keras.ops.square(x)) for x in outputs.values())

    assert_gradients_reach(loss, generator.trainable_variables)


def test_initial_weights():
    generator = Generator(filters=32)
    kernel = generator.get_layer("texture_encoder_4").get_weights()[0]
    assert kernel.mean() == pytest.approx(0, abs=1e-3)
    assert kernel.std() == pytest.approx(0.02, rel=0.02)
    gamma = generator.get_layer("texture_encoder_4_norm").get_weights()[0]
    assert gamma.mean() == pytest.approx(1, abs=0.01)
    assert gamma.std() == pytest.approx(0.02, rel=0.2)
    kernel_of_other_stream = generator.get_layer("structure_encoder_4").get_weights()[0]
    assert np.abs(kernel - kernel_of_other_stream).max() > 0


def test_config(generator):
    assert_signature_is_config(generator)
    revived = Generator.from_config(generator.get_config())
    assert revived.get_config() == generator.get_config()
    assert [v.path for v in revived.weights] == [v.path for v in generator.weights]


def test_outputs_are_float32_under_mixed_precision():
    generator = Generator(filters=4, dtype="mixed_bfloat16")
    generator.run_eagerly = EAGER_ON_TENSORFLOW
    assert generator.get_layer("texture_encoder_1").compute_dtype == "bfloat16"
    assert generator.get_layer("texture_encoder_1").variable_dtype == "float32"
    for output in generator.predict_on_batch(random_batch()).values():
        assert output.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"image_shape": (100, 128, 3)}, r"image_shape=\(100, 128, 3\)"),
        ({"image_shape": (128, 128, 1)}, r"image_shape=\(128, 128, 1\)"),
        ({"image_shape": (128, 128)}, r"image_shape=\(128, 128\)"),
        ({"filters": 6}, "filters=6"),
        ({"filters": 0}, "filters=0"),
        ({"filter": 8}, "{'filter': 8}"),
        ({"upsampling": "nearest"}, "upsampling='nearest'"),
        ({"upsampling": None}, "upsampling=None"),
    ],
)
def test_bad_arguments(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        Generator(**arguments)


@pytest.mark.parametrize("key", NETWORK_INPUTS)
def test_bad_inputs(generator, key):
    batch = random_batch()
    without = {k: v for k, v in batch.items() if k != key}
    with pytest.raises(ValueError, match=rf"\['{key}'\] missing. Received: keys="):
        generator(without)
    with pytest.raises(ValueError, match=rf"`{key}` must be .*Received: {key}.shape="):
        generator(batch | {key: batch[key][..., 0]})
    with pytest.raises(ValueError, match="multiples of 128. Received: image.shape="):
        generator({k: v[:, :100] for k, v in batch.items()})
    if key != "image":
        with pytest.raises(ValueError, match=f"must agree .*Received: .*{key}.shape="):
            generator(batch | {key: batch[key][:, :64]})


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_dtype_is_kept_and_saved(network):
    original = network(filters=4, dtype="mixed_bfloat16")
    assert original.dtype_policy.name == "mixed_bfloat16"
    revived = network.from_config(original.get_config())
    assert revived.dtype_policy.name == "mixed_bfloat16"
    policies = [x.layers[-1].dtype_policy.name for x in (original, revived)]
    assert policies[0] == policies[1]
