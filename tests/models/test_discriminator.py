import keras
import numpy as np
import pytest

from keras_ctsdg.models import Discriminator
from keras_ctsdg.models._initializers import skip_initialization
from tests.common import (
    assert_close,
    assert_signature_is_config,
    call_compiled,
    random_batch,
    to_numpy,
)
from tests.gradients import assert_gradients_reach


@pytest.fixture(scope="module")
def discriminator():
    keras.utils.set_random_seed(1)
    return Discriminator(filters=4)


def as_fake(batch):
    """Return the inputs of a filled image, which has no edge."""
    return {key: batch[key] for key in ("image", "gray")}


def test_parameters_at_full_width():
    with skip_initialization():
        trainable = Discriminator().trainable_variables
    assert sum(int(np.prod(v.shape)) for v in trainable) == 5_531_729


def test_outputs(discriminator):
    outputs = call_compiled(discriminator, random_batch(2, 128, 256))
    assert outputs["patch_logits"].shape == (2, 14, 30, 2)
    assert outputs["edge_logits"].shape == (2, 128, 256, 1)


def test_fake_image_is_scored_with_detected_edge(discriminator):
    batch = random_batch()
    outputs = to_numpy(call_compiled(discriminator, as_fake(batch)))
    detected = 1 / (1 + np.exp(-outputs["edge_logits"]))
    expected = to_numpy(call_compiled(discriminator, batch | {"edge": detected}))
    assert_close(outputs["patch_logits"], expected["patch_logits"], 1e-6)


def test_real_image_is_scored_with_given_edge(discriminator):
    batch = random_batch()
    real = to_numpy(call_compiled(discriminator, batch))
    fake = to_numpy(call_compiled(discriminator, as_fake(batch)))
    difference = np.abs(real["patch_logits"] - fake["patch_logits"])
    # Only the structure branch sees the edge.
    assert difference[..., 0].max() == 0
    assert difference[..., 1].max() > 0
    np.testing.assert_allclose(real["edge_logits"], fake["edge_logits"], atol=1e-6)


def test_predict_returns_the_outputs_of_a_call(discriminator):
    batch = random_batch()
    batch.pop("mask")
    predicted = discriminator.predict(batch, verbose=0)
    expected = to_numpy(call_compiled(discriminator, batch))
    assert_close(predicted["patch_logits"], expected["patch_logits"], 1e-5)


def test_training_updates_statistics_and_power_iterations(discriminator):
    before = [to_numpy(v.value) for v in discriminator.non_trainable_variables]
    # The first step computes the same v that the initializer did, so take two.
    for _ in range(2):
        discriminator(random_batch(), training=True)
    # With a single filter, u is 1 and v the normalized kernel in every step.
    for variable, old in zip(
        discriminator.non_trainable_variables, before, strict=True
    ):
        if "_conv_5/" not in variable.path:
            assert np.abs(to_numpy(variable.value) - old).max() > 0, variable.path


def test_gradients_reach_every_weight(discriminator):
    batch = random_batch()

    def loss():
        # In training mode, batch normalization removes the bias before it.
        outputs = discriminator(as_fake(batch))
        return sum(keras.ops.mean(keras.ops.square(x)) for x in outputs.values())

    assert_gradients_reach(loss, discriminator.trainable_variables)


def test_initial_weights():
    discriminator = Discriminator(filters=32)
    kernel = discriminator.get_layer("texture_conv_3").get_weights()[0]
    assert kernel.std() == pytest.approx(0.02, rel=0.02)
    kernel, bias = discriminator.get_layer("edge_conv_2").get_weights()
    limit = (8 * 9) ** -0.5
    for values in (kernel, bias):
        assert np.abs(values).max() <= limit
    assert kernel.std() == pytest.approx(limit / 3**0.5, rel=0.1)


def test_config(discriminator):
    assert_signature_is_config(discriminator)
    revived = Discriminator.from_config(discriminator.get_config())
    assert revived.get_config() == discriminator.get_config()


def test_bad_arguments():
    with pytest.raises(ValueError, match="Received: filters=3"):
        Discriminator(filters=3)
    with pytest.raises(ValueError, match=r"Received: image_shape=\(64, 64, 3\)"):
        Discriminator(image_shape=(64, 64, 3))


def test_bad_inputs(discriminator):
    batch = random_batch()
    with pytest.raises(ValueError, match=r"\['gray'\] missing. Received: keys="):
        discriminator({"image": batch["image"]})
    with pytest.raises(ValueError, match="Received: edge.shape="):
        discriminator(batch | {"edge": batch["image"]})
    with pytest.raises(ValueError, match="Received: inputs of type"):
        discriminator(batch["image"])
