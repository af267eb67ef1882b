import keras
import numpy as np
import pytest

from keras_ctsdg.models import Discriminator
from tests.common import (
    assert_close,
    assert_gradients_reach,
    assert_signature_is_config,
    random_batch,
    to_numpy,
)


@pytest.fixture(scope="module")
def discriminator():
    keras.utils.set_random_seed(1)
    return Discriminator(filters=8)


def fake(batch):
    return {key: batch[key] for key in ("image", "gray")}


def test_parameters_at_full_width():
    trainable = Discriminator().trainable_variables
    assert sum(int(np.prod(v.shape)) for v in trainable) == 5_531_729


def test_outputs(discriminator):
    outputs = discriminator(random_batch(2, 128, 256))
    assert outputs["patch_logits"].shape == (2, 14, 30, 2)
    assert outputs["edge_logits"].shape == (2, 128, 256, 1)


def test_a_fake_is_judged_by_the_edge_it_detects(discriminator):
    batch = random_batch()
    judged = discriminator(fake(batch))
    detected = to_numpy(keras.ops.sigmoid(judged["edge_logits"]))
    given = discriminator(batch | {"edge": detected})
    assert_close(judged["patch_logits"], to_numpy(given["patch_logits"]), 1e-6)


def test_a_real_one_is_judged_by_the_edge_it_comes_with(discriminator):
    batch = random_batch()
    real = to_numpy(discriminator(batch))
    judged = to_numpy(discriminator(fake(batch)))
    difference = np.abs(real["patch_logits"] - judged["patch_logits"])
    # Texture's opinion does not depend on the edge, structure's does.
    assert difference[..., 0].max() == 0
    assert difference[..., 1].max() > 0
    np.testing.assert_allclose(real["edge_logits"], judged["edge_logits"], atol=1e-6)


def test_predicts(discriminator):
    batch = random_batch()
    batch.pop("mask")
    predicted = discriminator.predict(batch, verbose=0)
    expected = to_numpy(discriminator(batch))
    assert_close(predicted["patch_logits"], expected["patch_logits"], 1e-5)


def test_training_moves_statistics_and_power_iterations(discriminator):
    before = [to_numpy(v.value) for v in discriminator.non_trainable_variables]
    for _ in range(2):  # The first v follows from the first u: it stays at first.
        discriminator(random_batch(), training=True)
    # Of a single filter u is 1 and v the kernel's direction: they stay for good.
    for variable, old in zip(
        discriminator.non_trainable_variables, before, strict=True
    ):
        if "_conv_5/" not in variable.path:
            assert np.abs(to_numpy(variable.value) - old).max() > 0, variable.path


def test_gradients_reach_every_weight(discriminator):
    batch = random_batch()

    def loss():
        # Not in training mode: batch norm takes what a bias before it adds.
        outputs = discriminator(fake(batch))
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
