import warnings

import keras
import numpy as np
import pytest

import keras_ctsdg
from keras_ctsdg.losses import LOSS_WEIGHTS
from keras_ctsdg.models import Discriminator, Generator, VGG16Features
from tests.common import NETWORK_INPUTS, TRACES, random_batch, to_numpy

SCORES = ("psnr", "ssim", "mae", "samples")
LOGS = {"generator_loss", "discriminator_loss", *LOSS_WEIGHTS}


def new_model(perceptual=False, **kwargs):
    model = keras_ctsdg.CTSDG(Generator(filters=8), Discriminator(filters=8))
    vgg = VGG16Features(weights=None) if perceptual else None
    kwargs = {"run_eagerly": TRACES, **kwargs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.compile(perceptual_network=vgg, **kwargs)
    return model


@pytest.fixture(scope="module")
def model():
    """Without the perceptual network, for all that its losses are not the point."""
    keras.utils.set_random_seed(1)
    return new_model()


@pytest.fixture(scope="module")
def compiled_model():
    keras.utils.set_random_seed(1)
    return new_model(run_eagerly=False)


@pytest.fixture(scope="module")
def perceptual_model():
    keras.utils.set_random_seed(1)
    return new_model(perceptual=True)


class Batches(keras.utils.PyDataset):
    def __init__(self, keys=NETWORK_INPUTS):
        super().__init__()
        self.keys = keys

    def __len__(self):
        return 2

    def __getitem__(self, index):
        batch = random_batch(2, seed=index)
        return {key: batch[key] for key in self.keys}


def as_numpy(keys=NETWORK_INPUTS):
    batches = [random_batch(2, seed=i) for i in range(2)]
    return {key: np.concatenate([b[key] for b in batches]) for key in keys}


def as_tf_data(keys=NETWORK_INPUTS):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(as_numpy(keys)).batch(2)


def as_data_loader(keys=NETWORK_INPUTS):
    import torch

    arrays = as_numpy(keys)
    items = [{k: torch.from_numpy(v[i]) for k, v in arrays.items()} for i in range(4)]
    return torch.utils.data.DataLoader(items, batch_size=2)


KINDS = (as_numpy, Batches, as_tf_data, as_data_loader)


@pytest.mark.parametrize("data", KINDS)
def test_takes_data_of_every_kind(model, data):
    check_doors(model, data)


def test_takes_data_compiled(compiled_model):
    check_doors(compiled_model, Batches)


def check_doors(model, data, keys=NETWORK_INPUTS):
    options = {"batch_size": 2} if data is as_numpy else {}
    history = model.fit(data(keys), verbose=0, **options).history
    assert set(history) == LOGS - {"perceptual", "style"}
    assert np.isfinite(list(history.values())).all()
    evaluated = model.evaluate(data(keys), verbose=0, return_dict=True, **options)
    scores = {name for name in evaluated if name.split("_")[0] in SCORES}
    assert set(evaluated) - scores == set(history)
    assert len(scores) == 3 * 4 + 5
    assert evaluated["pairs"] == evaluated["pairs_0_20"] == 4
    assert model.predict(data(keys), verbose=0, **options).shape == (4, 128, 128, 3)


def test_prediction_leaves_pixels_outside_the_hole_alone(model):
    batch = random_batch(2)
    predicted = model.predict_on_batch(batch)
    assert predicted.min() >= -1
    assert predicted.max() <= 1
    outside = np.broadcast_to(batch["mask"] == 0, predicted.shape)
    np.testing.assert_array_equal(predicted[outside], batch["image"][outside])
    generated = to_numpy(model.generator(batch)["image"])
    np.testing.assert_allclose(predicted[~outside], generated[~outside], atol=1e-5)


def test_logs_are_the_batch_alone_and_add_up(perceptual_model):
    for seed in range(2):
        batch = random_batch(2, seed=seed)
        tested = perceptual_model.test_on_batch(batch, return_dict=True)
        again = perceptual_model.test_on_batch(batch, return_dict=True)
        assert tested == pytest.approx(again, nan_ok=True)
        logs = perceptual_model.train_on_batch(batch, return_dict=True)
        for values in (tested, logs):
            assert {n for n in values if n.split("_")[0] not in SCORES} == LOGS
            total = sum(LOSS_WEIGHTS[name] * values[name] for name in LOSS_WEIGHTS)
            assert values["generator_loss"] == pytest.approx(total, rel=1e-4)


def test_every_weight_learns():
    """But VGG's. The gammas are off zero, else the gates get nothing."""
    model = new_model(
        True, run_eagerly=False, generator_optimizer=keras.optimizers.Adam(1e-2)
    )
    fusion = model.generator.get_layer("gated_fusion")
    fusion.structure_gamma.assign(0.5)
    fusion.texture_gamma.assign(0.5)
    frozen = model.perceptual_network.get_weights()
    batch = random_batch(2)
    first = model.train_on_batch(batch, return_dict=True)
    for part in ("generator", "discriminator"):
        optimizer = getattr(model, f"{part}_optimizer")
        variables = getattr(model, part).trainable_variables
        moments = [v for v in optimizer.variables if v.path.endswith("_momentum")]
        for variable, moment in zip(variables, moments, strict=True):
            moment = to_numpy(moment.value)
            assert np.isfinite(moment).all(), variable.path
            # Batch norm undoes the biases before it: rounding, not a gradient.
            if not variable.path.startswith("edge_conv") or "kernel" in variable.path:
                assert np.abs(moment).max() > 0, variable.path
    for _ in range(12):
        last = model.train_on_batch(batch, return_dict=True)
    assert last["generator_loss"] < 0.9 * first["generator_loss"]
    for new, old in zip(model.perceptual_network.get_weights(), frozen, strict=True):
        np.testing.assert_array_equal(new, old)


def test_both_gradients_are_taken_at_the_same_point():
    """The discriminator's step does not depend on how far the generator goes."""
    model = new_model(
        generator_optimizer=keras.optimizers.SGD(0.0),
        discriminator_optimizer=keras.optimizers.SGD(0.1),
    )
    start, moved = model.get_weights(), []
    for rate in (0.0, 0.1):
        model.set_weights(start)
        model.generator_optimizer.learning_rate = rate
        model.train_on_batch(random_batch(2))
        moved.append((model.generator.get_weights(), model.discriminator.get_weights()))
    (still, judge), (moving, same_judge) = moved
    assert any((x != y).any() for x, y in zip(still, moving, strict=True))
    for x, y in zip(judge, same_judge, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_stays_finite(policy):
    keras.config.set_dtype_policy(policy)
    model = new_model(
        perceptual=True, run_eagerly=TRACES and policy == "mixed_bfloat16"
    )
    assert model.dtype_policy.name == policy
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    before = model.get_weights()
    for seed in range(2):
        logs = model.train_on_batch(random_batch(seed=seed), return_dict=True)
        assert np.isfinite(list(logs.values())).all(), logs
    for weight in model.get_weights():
        assert np.isfinite(weight).all()
    if scaled:
        # A loss scale that is too large skips steps until it fits.
        assert float(to_numpy(model.optimizer.dynamic_scale.value)) > 0
    else:
        changes = [
            np.abs(new - old).max()
            for new, old in zip(model.get_weights(), before, strict=True)
        ]
        assert max(changes) > 0


def test_saved_model_goes_on_as_it_was(tmp_path, perceptual_model):
    batch = random_batch(2)
    perceptual_model.train_on_batch(batch)
    perceptual_model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        revived = keras.saving.load_model(tmp_path / "model.keras")
    assert revived.edges == perceptual_model.edges
    assert revived.get_compile_config() == perceptual_model.get_compile_config()
    expected = perceptual_model.predict_on_batch(batch)
    np.testing.assert_allclose(revived.predict_on_batch(batch), expected, atol=1e-6)
    for _ in range(2):
        expected = perceptual_model.train_on_batch(batch, return_dict=True)
        logs = revived.train_on_batch(batch, return_dict=True)
        assert logs == pytest.approx(expected, rel=1e-4)


def test_a_saved_model_holds_every_number_once(tmp_path, perceptual_model):
    path = tmp_path / "model.keras"
    perceptual_model.save(path)
    variables = perceptual_model.variables + perceptual_model.optimizer.variables
    size = sum(4 * int(np.prod(v.shape)) for v in variables)
    # A few thousand small arrays come with headers of the file format.
    assert path.stat().st_size < 1.05 * size + 3e6


def test_without_perceptual_network_it_says_so_once():
    model = keras_ctsdg.CTSDG(Generator(filters=8), Discriminator(filters=8))
    with pytest.warns(UserWarning, match="without the perceptual") as caught:
        model.compile()
        assert model.perceptual_network is None
    assert len(caught) == 1


def test_defaults_are_the_papers(model):
    assert model.loss_weights == LOSS_WEIGHTS
    for optimizer, rate in (
        (model.generator_optimizer, 2e-4),
        (model.discriminator_optimizer, 2e-5),
    ):
        assert to_numpy(optimizer.learning_rate.value) == pytest.approx(rate)
        assert (optimizer.beta_1, optimizer.beta_2) == (0.9, 0.999)


def test_loss_weights_are_heeded():
    model = new_model(loss_weights={"hole": 1.0, "adversarial": 0.0})
    logs = model.test_on_batch(random_batch(), return_dict=True)
    total = logs["hole"] + 10 * logs["valid"] + logs["intermediate"]
    assert logs["generator_loss"] == pytest.approx(total, rel=1e-4)


def test_bad_arguments():
    generator, discriminator = Generator(filters=8), Discriminator(filters=8)
    with pytest.raises(ValueError, match="`generator` must be .*Received: generator="):
        keras_ctsdg.CTSDG(discriminator, discriminator)
    with pytest.raises(ValueError, match="Received: discriminator="):
        keras_ctsdg.CTSDG(generator, generator)
    with pytest.raises(ValueError, match="Received: edges='sharp'"):
        keras_ctsdg.CTSDG(generator, discriminator, edges="sharp")
    model = keras_ctsdg.CTSDG(generator, discriminator)
    with pytest.raises(ValueError, match="Received: loss_weights=.*'holes'"):
        model.compile(loss_weights={"holes": 1.0})
