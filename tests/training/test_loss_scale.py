"""Each network has a loss scale of its own, in float16."""

import keras
import numpy as np
import pytest

from keras_ctsdg.training import loss_scale, optimizer
from keras_ctsdg.training.loss_scale import ScaledOptimizer
from tests.common import random_batch, to_numpy
from tests.training.common import make_eager_or_compiled, make_model
from tests.training.test_finite_steps import find_changes, read_everything

LARGEST = {"generator": 2.0**15, "discriminator": 2.0**15}


@pytest.fixture
def scaled():
    """A built optimizer of two variables, one of each network."""
    generator = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    other = keras.Variable(np.zeros(1, "float32"))
    return make_scaled(generator, other)


def make_scaled(generator, other):
    paired = optimizer.PairedOptimizer(
        generator, keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0)
    )
    scaled = ScaledOptimizer(paired, dynamic_growth_steps=3)
    scaled.build([*generator.trainable_variables, other])
    return scaled


def read_scales(scaled):
    return {name: float(x.value.value) for name, x in scaled.scales.items()}


def review(scaled, *flags):
    losses, *gradients = [keras.ops.convert_to_tensor(flag) for flag in flags]
    return bool(scaled.review(losses, gradients))


def read_counts(scaled):
    return int(scaled.bad_steps.value), int(scaled.bad_steps_in_row.value)


def test_overflow_halves_the_scale_of_its_network(scaled):
    assert read_scales(scaled) == LARGEST
    assert not review(scaled, True, False, True)
    assert read_scales(scaled) == {**LARGEST, "generator": 2.0**14}
    assert not review(scaled, True, True, False)
    assert read_scales(scaled) == {"generator": 2.0**14, "discriminator": 2.0**14}
    assert read_counts(scaled) == (0, 0)
    # No scale can cure a loss.
    assert not review(scaled, False, False, False)
    assert read_scales(scaled) == {"generator": 2.0**14, "discriminator": 2.0**14}
    assert read_counts(scaled) == (1, 1)


def test_overflow_at_the_smallest_scale_is_bad(scaled):
    for _ in range(15):
        assert not review(scaled, True, False, True)
    assert read_scales(scaled) == {**LARGEST, "generator": loss_scale.MIN_SCALE}
    assert read_counts(scaled) == (0, 0)
    for number in (1, 2):
        assert not review(scaled, True, False, True)
        assert read_counts(scaled) == (number, number)
    assert review(scaled, True, True, True)
    assert read_counts(scaled) == (2, 0)


def test_scales_grow_after_steps_without_an_overflow(scaled):
    for _ in range(2):
        review(scaled, True, True, True)
    review(scaled, True, False, True)
    review(scaled, False, True, True)
    review(scaled, True, True, True)
    assert read_scales(scaled) == {"generator": 2.0**14, "discriminator": 2.0**16}
    for _ in range(2):
        review(scaled, True, True, True)
    assert read_scales(scaled) == {"generator": 2.0**15, "discriminator": 2.0**16}


def test_gradients_are_divided_by_the_scale_of_their_network(scaled):
    scaled.scales["generator"].value.assign(8.0)
    variables = scaled.inner_optimizer._trainable_variables
    before = [to_numpy(v.value) for v in variables]
    gradients = [keras.ops.ones(v.shape) for v in variables]
    assert float(scaled.scale_loss(keras.ops.ones(()), "generator")) == 8
    assert float(scaled.scale_loss(keras.ops.ones(()), "discriminator")) == 2**15
    scaled.apply(gradients, variables)
    factors = [1 / 8, 1 / 8, 2.0**-15]
    for variable, old, factor in zip(variables, before, factors, strict=True):
        np.testing.assert_allclose(to_numpy(variable.value), old - factor, rtol=1e-6)


def test_scales_are_saved(scaled):
    review(scaled, True, False, True)
    review(scaled, True, True, True)
    store = {}
    scaled.save_own_variables(store)
    generator = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    loaded = make_scaled(generator, keras.Variable(np.zeros(1, "float32")))
    loaded.load_own_variables(store)
    assert read_scales(loaded) == read_scales(scaled) != LARGEST
    assert int(loaded.scales["discriminator"].steps.value) == 1


class EarlierOptimizer(keras.optimizers.LossScaleOptimizer):
    """The optimizer of earlier versions, with one scale for both networks."""

    @property
    def optimizers(self):
        return self.inner_optimizer.optimizers

    def scale_loss(self, loss, network):
        return super().scale_loss(loss)

    @property
    def bad_steps(self):
        return self.inner_optimizer.bad_steps

    def review(self, *flags):
        return self.inner_optimizer.review(*flags)


@pytest.mark.slow
def test_model_of_an_earlier_version_goes_on(tmp_path, monkeypatch):
    keras.config.set_dtype_policy("mixed_float16")
    with monkeypatch.context() as patch:
        patch.setattr(
            "keras_ctsdg.training.optimizer.ScaledOptimizer", EarlierOptimizer
        )
        model = make_model()
        model.optimizer.dynamic_scale.assign(64.0)
        for _ in range(2):
            model.train_on_batch(random_batch(2))
        model.save(tmp_path / "earlier.keras")
        expected = model.train_on_batch(random_batch(2), return_dict=True)
    loaded = keras.saving.load_model(tmp_path / "earlier.keras")
    assert read_scales(loaded.optimizer) == {"generator": 64, "discriminator": 64}
    assert int(to_numpy(loaded.optimizer.iterations)) == 2
    actual = loaded.train_on_batch(random_batch(2), return_dict=True)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-2, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("is_eager", [True, False])
def test_overflow_of_one_network_changes_its_scale_alone(is_eager, monkeypatch):
    keras.config.set_dtype_policy("mixed_float16")
    model = make_eager_or_compiled(is_eager, monkeypatch)
    scales = model.optimizer.scales
    scales["generator"].value.assign(2.0**40)
    scales["discriminator"].value.assign(16.0)
    before = read_everything(model)
    logs = model.train_on_batch(random_batch(1), return_dict=True)
    assert np.isfinite(list(logs.values())).all() and "bad_steps" not in logs
    assert read_scales(model.optimizer) == {"generator": 2.0**39, "discriminator": 16}
    metrics = {v.path for v in model.metrics_variables}
    changed = set(find_changes(model, before)) - metrics
    assert changed == {scales["generator"].value.path}
    scales["generator"].value.assign(16.0)
    model.train_on_batch(random_batch(1))
    assert int(to_numpy(model.optimizer.iterations)) == 1
