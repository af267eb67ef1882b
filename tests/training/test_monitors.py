"""Keras' own callbacks with their defaults."""

import keras
import pytest

from keras_ctsdg.training.callbacks import (
    FineTuning,
    GracefulInterrupt,
    SampleGrid,
    StopOnBadSteps,
)
from keras_ctsdg.training.monitors import find_mode, prepare_callbacks
from tests.common import random_batch, to_numpy
from tests.training.common import make_model

DECAY = keras.optimizers.schedules.ExponentialDecay(1e-4, 10, 0.9)


def test_defaults_monitor_the_generator(small_model, tmp_path):
    stopping = keras.callbacks.EarlyStopping(patience=5)
    plateau = keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5, min_delta=1e9)
    checkpoint = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras", monitor="val_ssim", save_best_only=True
    )
    by_psnr = keras.callbacks.EarlyStopping(monitor="val_psnr")
    history = small_model.fit(
        random_batch(2),
        epochs=2,
        verbose=0,
        validation_data=random_batch(2),
        callbacks=[stopping, plateau, checkpoint, by_psnr],
    ).history
    assert history["loss"] == history["generator_loss"]
    assert history["val_loss"] == history["val_generator_loss"]
    assert stopping.best == min(history["val_loss"])
    assert by_psnr.best == max(history["val_psnr"])
    assert checkpoint.best == max(history["val_ssim"])
    assert (tmp_path / "best.keras").exists()
    # Rates by the role of their optimizer, before they are halved.
    assert history["learning_rate_generator"] == pytest.approx([2e-4] * 2)
    assert history["learning_rate_discriminator"] == pytest.approx([2e-5] * 2)
    assert to_numpy(small_model.generator_optimizer.learning_rate) == pytest.approx(
        1e-4
    )


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("loss", "min"),
        ("discriminator_loss", "min"),
        ("style", "min"),
        ("psnr", "max"),
        ("ssim_20_40", "max"),
        ("mae", "min"),
        ("mae_0_20", "min"),
        ("images_per_second", "max"),
        ("samples", "auto"),
        ("accuracy", "auto"),
    ],
)
def test_every_log_has_its_direction(small_model, name, mode):
    assert find_mode(name, small_model) == mode


def test_mode_that_was_chosen_is_kept(small_model):
    callback = keras.callbacks.EarlyStopping(monitor="val_psnr", mode="min")
    prepare_callbacks({"callbacks": callback}, small_model)
    assert callback.mode == "min"


def test_bad_steps_are_watched_in_every_training(small_model):
    callback = keras.callbacks.EarlyStopping()
    given = keras.callbacks.CallbackList([callback])
    assert prepare_callbacks({"callbacks": given}, small_model) == {"callbacks": given}
    assert isinstance(given.callbacks[1], StopOnBadSteps)
    added = prepare_callbacks({"verbose": 0}, small_model)["callbacks"]
    assert [type(callback) for callback in added] == [StopOnBadSteps]
    assert prepare_callbacks({"callbacks": added}, small_model)["callbacks"] is added


def test_scheduler_sets_both_rates(small_model):
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = small_model.fit(
        random_batch(2), epochs=2, verbose=0, callbacks=[scheduler]
    ).history
    assert history["learning_rate_generator"] == pytest.approx([1e-4, 5e-5])
    assert history["learning_rate_discriminator"] == pytest.approx([1e-5, 5e-6])


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    "callback",
    [
        keras.callbacks.ReduceLROnPlateau(),
        keras.callbacks.LearningRateScheduler(lambda epoch: 1e-4),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_rates_that_follow_a_schedule_are_known_at_the_start(callback):
    model = make_model(discriminator_optimizer=keras.optimizers.Adam(DECAY))
    before = to_numpy(model.generator.weights[0].value)
    with pytest.raises(ValueError, match="not schedules.*discriminator_optimizer"):
        model.fit(random_batch(2), verbose=0, callbacks=[callback])
    assert (to_numpy(model.generator.weights[0].value) == before).all()


# `test_ctsdg.py` scales losses on every backend.
@pytest.mark.backend_independent
def test_loss_scaling_keeps_the_two_rates():
    keras.config.set_dtype_policy("mixed_float16")
    model = make_model()
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = model.fit(random_batch(2), verbose=0, callbacks=[scheduler]).history
    assert history["learning_rate_discriminator"] == pytest.approx([1e-5])


def test_what_a_callback_cannot_do_is_known_at_the_start(small_model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="multiples of 128"):
        SampleGrid(tmp_path, random_batch(2, width=100))
    for callback, message in (
        (SampleGrid(tmp_path / "file", random_batch(2)), "`folder` must be a folder"),
        (GracefulInterrupt(), "entered with `with`"),
    ):
        with pytest.raises(ValueError, match=message):
            small_model.fit(random_batch(2), verbose=0, callbacks=[callback])


@pytest.mark.backend_independent
@pytest.mark.parametrize("arguments", [(-1,), (2.5,), (0, -1e-4), (0, "fast")])
def test_fine_tuning_refuses_bad_arguments(arguments):
    with pytest.raises(ValueError, match="Received: "):
        FineTuning(*arguments)
