"""A step whose losses or gradients are not finite changes nothing at all."""

import keras
import numpy as np
import pytest

from keras_ctsdg.training.callbacks import StopOnBadSteps
from tests.common import random_batch, slow_if, to_numpy
from tests.training.common import make_eager_or_compiled, make_model, read_state


def read_everything(model):
    """Return all variables that a step may change, but the counters of bad steps."""
    counters = model.optimizer.bad_steps, model.optimizer.bad_steps_in_row
    state = read_state(model)
    # The conversion adds up what several replicas counted.
    state += [
        (v, to_numpy(keras.ops.convert_to_tensor(v))) for v in model.metrics_variables
    ]
    excluded = {id(counter) for counter in counters}
    return [(v.path, value) for v, value in state if id(v) not in excluded]


def find_changes(model, before):
    """Return the paths of the variables whose values changed."""
    return [
        path
        for (path, new), (_, old) in zip(read_everything(model), before, strict=True)
        if not np.array_equal(new, old)
    ]


def train_unchecked(model, batch):
    """Train on a batch that got past the check of its values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_ctsdg.training.logs.check_data", lambda x: x)
        return model.train_on_batch(batch, return_dict=True)


def bad_batch(value=np.nan):
    batch = random_batch(1)
    batch["image"][0, 5, 5, 0] = value
    return batch


def assert_bad_pixel_changes_nothing(model, value):
    model.reset_metrics()
    before = read_everything(model)
    logs = train_unchecked(model, bad_batch(value))
    assert logs["bad_steps"] == 1
    assert not np.isfinite(logs["generator_loss"])
    assert int(to_numpy(model.optimizer.bad_steps_in_row.value)) == 1
    assert not find_changes(model, before)
    logs = model.train_on_batch(random_batch(1), return_dict=True)
    assert "bad_steps" not in logs
    assert np.isfinite(list(logs.values())).all()
    assert int(to_numpy(model.optimizer.bad_steps_in_row.value)) == 0
    changed = find_changes(model, before)
    for name in ("kernel", "moving_mean", "/u", "velocity", "iteration", "total"):
        assert any(name in path for path in changed), name


def test_bad_pixel_changes_nothing(small_model):
    assert_bad_pixel_changes_nothing(small_model, np.nan)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("is_eager", [True, False])
def test_bad_pixel_changes_nothing_in_any_step(policy, is_eager, monkeypatch):
    keras.config.set_dtype_policy(policy)
    model = make_eager_or_compiled(is_eager, monkeypatch)
    if policy == "mixed_float16":
        # No step is left out because of these scales.
        for scale in model.optimizer.scales.values():
            scale.value.assign(16.0)
    assert_bad_pixel_changes_nothing(model, np.inf)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_gradients_of_either_network_are_reviewed(small_model, network, value):
    state = small_model.trainable_state
    gradients = [np.zeros(v.shape, "float32") for v in state.variables]
    losses = {"generator_loss": keras.ops.ones(()), "hole": keras.ops.ones(())}
    review = small_model.review_step
    assert review(losses, list(map(keras.ops.convert_to_tensor, gradients)))
    index = 3 if network == "generator" else len(state.generator) + 3
    gradients[index].flat[-1] = value
    assert not review(losses, list(map(keras.ops.convert_to_tensor, gradients)))
    gradients[index].flat[-1] = 1e10
    assert review(losses, list(map(keras.ops.convert_to_tensor, gradients)))
    small_model.generator_optimizer.learning_rate = 1e10
    is_kept = bool(review(losses, list(map(keras.ops.convert_to_tensor, gradients))))
    assert is_kept == (network == "discriminator")
    assert not review({"hole": losses["hole"] * np.nan}, [])


@pytest.mark.slow
@pytest.mark.parametrize("network", ["generator", "discriminator"])
@pytest.mark.parametrize("is_eager", [True, False])
def test_gradients_that_are_not_finite_change_nothing(network, is_eager, monkeypatch):
    model = make_eager_or_compiled(is_eager, monkeypatch)
    model.train_on_batch(random_batch(1))
    before = read_everything(model)
    compute = getattr(model, f"{network}_losses")

    def compute_steeply(*args, **kwargs):
        results = compute(*args, **kwargs)
        values = results[0] if network == "generator" else results
        # The derivative of the root at 0 is infinite.
        loss = values[f"{network}_loss"]
        values[f"{network}_loss"] = loss + keras.ops.sqrt(loss - loss)
        return results

    setattr(model, f"{network}_losses", compute_steeply)
    model.make_train_function(force=True)
    logs = model.train_on_batch(random_batch(1), return_dict=True)
    assert logs["bad_steps"] == 1 and np.isfinite(logs["loss"])
    metrics = {v.path for v in model.metrics_variables}
    assert not set(find_changes(model, before)) - metrics


def test_huge_rate_ends_a_training_and_keeps_the_weights(small_model, tmp_path):
    small_model.discriminator_optimizer.learning_rate = 1e38
    before = [to_numpy(v.value) for v in small_model.variables]
    data = {key: np.repeat(x, 4, 0) for key, x in random_batch(1).items()}
    steps = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    (tmp_path / "last.keras").touch()
    stop = StopOnBadSteps(2, checkpoint=lambda: tmp_path / "last.keras")
    with pytest.raises(
        FloatingPointError, match="last.keras.* max_bad_steps=2"
    ) as error:
        small_model.fit(data, batch_size=1, verbose=0, callbacks=[stop, count])
    assert "Lower the learning rate" in str(error.value)
    assert steps == [0, 1]
    for variable, value in zip(small_model.variables, before, strict=True):
        np.testing.assert_array_equal(to_numpy(variable.value), value, variable.path)


@slow_if(keras.backend.backend() != "torch")
def test_training_counts_its_bad_steps(small_model):
    class SlowStart(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rate = 1e38 if batch in (1, 2) else 1e-4
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()
            self.model.generator_optimizer.learning_rate = rate

    data = {key: np.repeat(x, 4, 0) for key, x in random_batch(1).items()}
    history = small_model.fit(data, batch_size=1, verbose=0, callbacks=[SlowStart()])
    assert history.history["bad_steps"] == [2]
    assert np.isfinite(history.history["loss"]).all()
    assert int(to_numpy(small_model.generator_optimizer.iterations.value)) == 2
    history = small_model.fit(data, batch_size=4, verbose=0)
    assert "bad_steps" not in history.history


@slow_if(keras.backend.backend() != "torch")
def test_weights_that_are_not_finite_are_named(small_model):
    small_model.generator.trainable_variables[0].assign_add(
        np.full(small_model.generator.trainable_variables[0].shape, np.nan)
    )
    with pytest.raises(FloatingPointError, match="All weights must be finite to be"):
        small_model.fit(
            random_batch(1), epochs=2, verbose=0, callbacks=[StopOnBadSteps(1)]
        )
    with pytest.raises(ValueError, match="max_bad_steps=0"):
        StopOnBadSteps(0)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1e8, 1e38])
def test_any_rate_keeps_weights_finite(rate):
    model = make_model(
        generator_optimizer=keras.optimizers.Adam(rate),
        discriminator_optimizer=keras.optimizers.SGD(rate, momentum=0.9),
        run_eagerly=False,
    )
    data = {key: np.repeat(x, 30, 0) for key, x in random_batch(1).items()}
    with pytest.raises(FloatingPointError, match="10 bad steps in a row"):
        model.fit(data, batch_size=1, epochs=3, verbose=0)
    for variable in [*model.variables, *model.optimizer.variables]:
        assert np.isfinite(to_numpy(variable.value)).all(), variable.path
