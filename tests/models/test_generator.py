import keras
import numpy as np
import pytest

from keras_ctsdg.models import Discriminator, Generator
from tests.common import (
    NETWORK_INPUTS,
    assert_close,
    assert_gradients_reach,
    assert_signature_is_config,
    random_batch,
    to_numpy,
)


@pytest.fixture(scope="module")
def generator():
    keras.utils.set_random_seed(1)
    return Generator(filters=8)


def test_parameters_at_full_width():
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


def test_the_picture_alone(generator, monkeypatch):
    batch = random_batch(2)
    whole = generator(batch)["image"]
    projection = generator.get_layer("projected_image_conv_1")
    monkeypatch.setattr(projection, "call", lambda x: pytest.fail("not needed"))
    assert_close(generator.call_for_image(batch), to_numpy(whole), 1e-6)
    with pytest.raises(ValueError, match="Received"):
        generator.call_for_image({"image": batch["image"]})


def test_takes_sizes_unknown_when_built(generator):
    assert generator.input["image"].shape == (None, None, None, 3)
    outputs = generator.predict_on_batch(random_batch(1, 128, 256))
    assert outputs["image"].shape == (1, 128, 256, 3)


def test_fixed_size():
    fixed = Generator(image_shape=(128, 256, 3), filters=8)
    assert fixed.output["image"].shape == (None, 128, 256, 3)
    outputs = fixed.predict_on_batch(random_batch(1, 128, 256))
    assert outputs["image"].shape == (1, 128, 256, 3)


def test_does_not_see_into_the_hole(generator):
    batch = random_batch()
    spoiled = dict(batch)
    for key in ("image", "gray", "edge"):
        spoiled[key] = np.where(batch["mask"] == 1, 0.7, batch[key]).astype("float32")
    outputs, others = map(generator.predict_on_batch, (batch, spoiled))
    for key in outputs:
        np.testing.assert_allclose(outputs[key], others[key], atol=1e-6)


def test_sees_all_outside_the_hole(generator):
    batch = random_batch()
    picture = generator.predict_on_batch(batch)["image"]
    for key in ("image", "gray", "edge"):
        changed = batch | {key: batch[key] * (1 - 0.9 * (1 - batch["mask"]))}
        other = generator.predict_on_batch(changed)["image"]
        assert np.abs(other - picture).max() > 0, key


def test_upsampling_is_heeded(generator):
    aligned = Generator(filters=8, upsampling="align_corners")
    aligned.set_weights(generator.get_weights())
    batch = random_batch()
    pictures = [g.predict_on_batch(batch)["image"] for g in (aligned, generator)]
    assert np.abs(pictures[0] - pictures[1]).max() > 1e-6


def test_logits_are_those_of_the_edge(generator):
    batch = random_batch()
    outputs = generator.call_with_logits(batch)
    expected = to_numpy(outputs["projected_edge"])
    assert_close(keras.ops.sigmoid(outputs["projected_edge_logits"]), expected, 1e-6)


def test_gradients_reach_every_weight(generator):
    fusion = generator.get_layer("gated_fusion")
    fusion.structure_gamma.assign(0.5)
    fusion.texture_gamma.assign(0.5)
    # Two: at the bottleneck batch norm has nothing to tell from a single pixel.
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


def test_mixed_precision_keeps_pictures_in_float32():
    generator = Generator(filters=8, dtype="mixed_bfloat16")
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
        ({"upsampling": "nearest"}, "alignment='nearest'"),
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
def test_dtype_is_the_networks_and_is_saved(network):
    made = network(filters=8, dtype="mixed_bfloat16")
    assert made.dtype_policy.name == "mixed_bfloat16"
    again = network.from_config(made.get_config())
    assert again.dtype_policy.name == "mixed_bfloat16"
    assert again.layers[-1].dtype_policy.name == made.layers[-1].dtype_policy.name
