import pytest

import keras_ctsdg
from keras_ctsdg.losses import LOSS_WEIGHTS
from keras_ctsdg.models import Discriminator, Generator
from tests.common import random_batch, to_numpy
from tests.training.common import make_model


def test_compile_without_perceptual_network_warns_once():
    model = keras_ctsdg.CTSDG(Generator(filters=4), Discriminator(filters=4))
    with pytest.warns(UserWarning, match="without the perceptual") as caught:
        model.compile()
        assert model.perceptual_network is None
    assert len(caught) == 1


def test_defaults_are_those_of_the_paper(small_model):
    assert small_model.loss_weights == LOSS_WEIGHTS
    for optimizer, rate in (
        (small_model.generator_optimizer, 2e-4),
        (small_model.discriminator_optimizer, 2e-5),
    ):
        assert to_numpy(optimizer.learning_rate.value) == pytest.approx(rate)
        assert (optimizer.beta_1, optimizer.beta_2) == (0.9, 0.999)


def test_loss_weights_change_the_total():
    model = make_model(loss_weights={"hole": 1.0, "adversarial": 0.0})
    logs = model.test_on_batch(random_batch(), return_dict=True)
    total = logs["hole"] + 10 * logs["valid"] + logs["intermediate"]
    assert logs["generator_loss"] == pytest.approx(total, rel=1e-4)
