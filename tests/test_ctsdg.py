import inspect
import warnings

import keras
import numpy as np
import pytest

import keras_ctsdg
from keras_ctsdg.losses import LOSS_WEIGHTS
from keras_ctsdg.models import Discriminator, Generator, VGG16Features
from tests.common import EAGER_ON_TENSORFLOW, random_batch, to_numpy
from tests.training.common import (
    DATA_KINDS,
    LOSS_NAMES,
    Batches,
    as_data_loader,
    as_numpy,
    as_tf_data,
    as_tuple,
    assert_runs_on,
    is_image_metric,
    make_model,
    make_perceptual_network,
    read_state,
    restore_state,
)


@pytest.fixture(scope="module")
def shared_perceptual_model():
    keras.utils.set_random_seed(1)
    return make_model(perceptual_network=make_perceptual_network())


@pytest.fixture
def perceptual_model(shared_perceptual_model):
    """A compiled model with a perceptual network, in the same state for every test."""
    state = read_state(shared_perceptual_model)
    yield shared_perceptual_model
    restore_state(state)


# === Class ===


def test_class_is_the_same_on_every_backend():
    cls = keras_ctsdg.CTSDG
    assert cls.__module__ == "keras_ctsdg.ctsdg"
    assert keras_ctsdg.ctsdg.CTSDG is cls
    assert keras.saving.get_registered_name(cls) == "keras_ctsdg>CTSDG"
    assert "__doc__" in vars(cls)
    documentation = inspect.getdoc(cls)
    assert documentation.startswith("Conditional texture and structure dual generation")
    for section in ("Args:", "Call arguments:", "Returns:", "Raises:", "Example:"):
        assert f"\n{section}\n" in documentation


def test_bad_arguments_are_refused():
    generator, discriminator = Generator(filters=4), Discriminator(filters=4)
    with pytest.raises(ValueError, match="`generator` must be .*Received: generator="):
        keras_ctsdg.CTSDG(discriminator, discriminator)
    with pytest.raises(ValueError, match="Received: discriminator="):
        keras_ctsdg.CTSDG(generator, generator)
    with pytest.raises(ValueError, match="Received: edges='sharp'"):
        keras_ctsdg.CTSDG(generator, discriminator, edges="sharp")
    model = keras_ctsdg.CTSDG(generator, discriminator)
    with pytest.raises(ValueError, match="Received: loss_weights=.*'holes'"):
        model.compile(loss_weights={"holes": 1.0})


# === Data and logs ===


@pytest.mark.parametrize(
    "make_data",
    [
        as_tf_data,
        as_data_loader,
        # Most tests train on these.
        *(
            pytest.param(kind, marks=pytest.mark.backend_independent)
            for kind in (as_numpy, Batches)
        ),
    ],
)
def test_runs_on_every_kind_of_data(small_model, make_data):
    assert_runs_on(small_model, make_data)


class EvaluateAfterEpochs(keras.callbacks.Callback):
    """Calls `evaluate` within `fit`, as a user's callback may."""

    def __init__(self, data, **options):
        super().__init__()
        self.data = data
        self.options = options
        self.logs = []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(
            self.model.evaluate(
                self.data, verbose=0, return_dict=True, callbacks=[], **self.options
            )
        )


@pytest.mark.parametrize(
    "make_data",
    [
        Batches,
        *(
            pytest.param(kind, marks=pytest.mark.backend_independent)
            for kind in (*DATA_KINDS, as_tuple)
            if kind is not Batches
        ),
    ],
)
def test_validation_leaves_out_metrics_by_mask_ratio(small_model, make_data):
    data = make_data()
    options = {"batch_size": 2} if make_data in (as_numpy, as_tuple) else {}
    # Only `fit` takes a tuple.
    callback = EvaluateAfterEpochs(
        data[0] if make_data is as_tuple else data, **options
    )
    history = small_model.fit(
        random_batch(2),
        verbose=0,
        validation_data=data,
        validation_batch_size=options.get("batch_size"),
        callbacks=[callback],
    ).history
    validated = {name for name in history if name.startswith("val_")}
    expected = LOSS_NAMES - {"perceptual", "style"} | {"psnr", "ssim", "mae"}
    assert validated == {f"val_{name}" for name in expected}
    (logs,) = callback.logs
    assert len([name for name in logs if is_image_metric(name)]) == 3 * 4 + 5
    assert logs["samples"] == logs["samples_0_20"] == 4
    for name in expected:
        assert history[f"val_{name}"] == [pytest.approx(logs[name], rel=1e-5)]


def test_validation_split_leaves_them_out_too(small_model):
    history = small_model.fit(
        as_numpy(), validation_split=0.5, batch_size=2, verbose=0
    ).history
    metrics = {name for name in history if is_image_metric(name)}
    assert metrics == {"val_psnr", "val_ssim", "val_mae"}


def test_prediction_leaves_pixels_outside_the_hole_alone(small_model):
    batch = random_batch(2)
    predicted = small_model.predict_on_batch(batch)
    assert predicted.min() >= -1
    assert predicted.max() <= 1
    outside = np.broadcast_to(batch["mask"] == 0, predicted.shape)
    np.testing.assert_array_equal(predicted[outside], batch["image"][outside])
    small_model.generator.run_eagerly = EAGER_ON_TENSORFLOW
    generated = small_model.generator.predict_on_batch(batch)["image"]
    np.testing.assert_allclose(predicted[~outside], generated[~outside], atol=1e-5)


def test_logs_are_of_one_batch_and_add_up(perceptual_model):
    for seed in range(2):
        batch = random_batch(2, seed=seed)
        tested = perceptual_model.test_on_batch(batch, return_dict=True)
        again = perceptual_model.test_on_batch(batch, return_dict=True)
        assert tested == pytest.approx(again, nan_ok=True)
        logs = perceptual_model.train_on_batch(batch, return_dict=True)
        for values in (tested, logs):
            assert {n for n in values if not is_image_metric(n)} == LOSS_NAMES
            total = sum(LOSS_WEIGHTS[name] * values[name] for name in LOSS_WEIGHTS)
            assert values["generator_loss"] == pytest.approx(total, rel=1e-4)


# === Training ===


def test_every_weight_is_trained_but_the_perceptual_networks(perceptual_model):
    model = perceptual_model
    model.generator_optimizer.learning_rate = 1e-2
    # At their initial value of 0 the gammas pass no gradient to the gates.
    fusion = model.generator.get_layer("gated_fusion")
    fusion.structure_gamma.assign(0.5)
    fusion.texture_gamma.assign(0.5)
    frozen = model.perceptual_network.get_weights()
    # With a batch of one, batch normalization at the bottleneck sees a single pixel.
    batch = random_batch(2)
    first = model.train_on_batch(batch, return_dict=True)
    for part in ("generator", "discriminator"):
        optimizer = getattr(model, f"{part}_optimizer")
        variables = getattr(model, part).trainable_variables
        moments = [v for v in optimizer.variables if v.path.endswith("_momentum")]
        for variable, moment in zip(variables, moments, strict=True):
            moment = to_numpy(moment.value)
            assert np.isfinite(moment).all(), variable.path
            # Batch normalization cancels the biases before it, whose gradient is 0.
            if not variable.path.startswith("edge_conv") or "kernel" in variable.path:
                assert np.abs(moment).max() > 0, variable.path
    for _ in range(6):
        last = model.train_on_batch(batch, return_dict=True)
    assert last["generator_loss"] < 0.9 * first["generator_loss"]
    for new, old in zip(model.perceptual_network.get_weights(), frozen, strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(
    "policy",
    [
        "mixed_float16",
        # Of the two it is the one without dangers.
        pytest.param(
            "mixed_bfloat16",
            marks=[pytest.mark.slow] if keras.backend.backend() != "torch" else [],
        ),
    ],
)
def test_mixed_precision_stays_finite(policy):
    keras.config.set_dtype_policy(policy)
    is_float16 = policy == "mixed_float16"
    # Overflows are the danger of float16 alone, above all in the Gram matrices.
    perceptual_network = None
    if is_float16:
        # On PyTorch no compilation of so large a network is waited for.
        is_torch = keras.backend.backend() == "torch"
        perceptual_network = (
            VGG16Features(weights=None) if is_torch else make_perceptual_network()
        )
    model = make_model(perceptual_network=perceptual_network)
    assert model.dtype_policy.name == policy
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == is_float16
    before = model.get_weights()
    for seed in range(2):
        logs = model.train_on_batch(random_batch(seed=seed), return_dict=True)
        assert np.isfinite(list(logs.values())).all(), logs
    for weight in model.get_weights():
        assert np.isfinite(weight).all()
    if scaled:
        # Steps are skipped until the loss scale is small enough.
        for scale in model.optimizer.scales.values():
            assert float(to_numpy(scale.value.value)) >= 1
    else:
        changes = [
            np.abs(new - old).max()
            for new, old in zip(model.get_weights(), before, strict=True)
        ]
        assert max(changes) > 0


# === Saving ===


def test_saved_model_resumes_training(tmp_path, perceptual_model):
    batch = random_batch(2)
    perceptual_model.train_on_batch(batch)
    perceptual_model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.edges == perceptual_model.edges
    config, expected = (
        model.get_compile_config() for model in (loaded, perceptual_model)
    )
    # Keras adds the shapes of inputs to the layers of the network.
    assert config.pop("perceptual_network") and expected.pop("perceptual_network")
    assert config == expected
    loaded.run_eagerly = EAGER_ON_TENSORFLOW
    expected = perceptual_model.predict_on_batch(batch)
    np.testing.assert_allclose(loaded.predict_on_batch(batch), expected, atol=1e-6)
    for _ in range(2):
        expected = perceptual_model.train_on_batch(batch, return_dict=True)
        logs = loaded.train_on_batch(batch, return_dict=True)
        assert logs == pytest.approx(expected, rel=1e-4)


@pytest.mark.backend_independent
def test_saved_model_holds_every_number_once(tmp_path, perceptual_model):
    path = tmp_path / "model.keras"
    perceptual_model.save(path)
    variables = perceptual_model.variables + perceptual_model.optimizer.variables
    size = sum(4 * int(np.prod(v.shape)) for v in variables)
    # The file has headers for a few thousand small arrays.
    assert path.stat().st_size < 1.05 * size + 3e6


@pytest.mark.backend_independent
def test_export_names_what_it_cannot_do(small_model, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="set KERAS_BACKEND=.*Received: format="):
        small_model.export(tmp_path / "model.onnx")
