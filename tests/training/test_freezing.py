"""Frozen and thawed networks and layers, as in a stock Keras model."""

import keras
import numpy as np
import pytest

from keras_ctsdg.models import Discriminator, Generator, VGG16Features
from tests.common import random_batch, slow_if, to_numpy
from tests.training.common import make_model

LAYER = "texture_encoder_2"
# Each of these compiles steps anew, where steps are compiled.
slow_elsewhere = slow_if(keras.backend.backend() != "torch")


def read_weights(network):
    return {v.path: to_numpy(v.value) for v in network.weights}


def changed_weights(model, **options):
    """Train one step and return the paths of the weights that changed."""
    networks = model.generator, model.discriminator
    before = [read_weights(network) for network in networks]
    logs = model.train_on_batch(random_batch(2), return_dict=True, **options)
    assert np.isfinite(list(logs.values())).all()
    return {
        path
        for network, weights in zip(networks, before, strict=True)
        for path, value in read_weights(network).items()
        if not np.array_equal(value, weights[path])
    }


def paths(*parts):
    return {variable.path for part in parts for variable in part.weights}


def compile_again(model):
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.optimizers.Adam(1e-2),
        run_eagerly=model.run_eagerly,
    )


@slow_elsewhere
@pytest.mark.parametrize("frozen", ["generator", "discriminator"])
def test_frozen_network_stays_bit_for_bit(frozen):
    model = make_model()
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    networks[frozen].trainable = False
    compile_again(model)
    changed = changed_weights(model)
    assert not changed & paths(networks.pop(frozen))
    (other,) = networks.values()
    # The gates have no influence before their scales have left 0.
    trained = {v.path for v in other.trainable_weights if "_gate/" not in v.path}
    assert trained <= changed
    history = model.fit(random_batch(2), verbose=0, validation_data=random_batch(2))
    assert np.isfinite(history.history["generator_loss"]).all()


@slow_elsewhere
def test_nothing_changes_before_the_next_compile():
    model = make_model()
    compile_again(model)
    layer = model.generator.get_layer(LAYER)
    norm = model.generator.get_layer(f"{LAYER}_norm")
    # Until every scale has left 0.
    changed_weights(model)
    everything = changed_weights(model)
    assert paths(layer, norm) <= everything
    layer.trainable = norm.trainable = False
    assert changed_weights(model) == everything
    assert not layer.trainable
    compile_again(model)
    # A frozen batch normalization keeps its statistics, too.
    assert changed_weights(model) == everything - paths(layer, norm)
    layer.trainable = norm.trainable = True
    # The order of variables on JAX must not depend on the flags.
    assert changed_weights(model) == everything - paths(layer, norm)
    compile_again(model)
    assert changed_weights(model) == everything


@slow_elsewhere
def test_callback_that_freezes_takes_effect_at_the_next_compile():
    model = make_model()
    compile_again(model)
    layer = model.discriminator.get_layer("texture_conv_1")

    class Freeze(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            layer.trainable = False

    before = to_numpy(layer.kernel.value)
    model.fit(random_batch(4), batch_size=2, verbose=0, callbacks=[Freeze()])
    middle = to_numpy(layer.kernel.value)
    assert not np.array_equal(middle, before)
    compile_again(model)
    model.fit(random_batch(4), batch_size=2, verbose=0)
    np.testing.assert_array_equal(to_numpy(layer.kernel.value), middle)


def test_model_that_is_frozen_as_a_whole_runs():
    model = make_model()
    model.trainable = False
    compile_again(model)
    assert changed_weights(model) == set()
    assert np.isfinite(model.predict(random_batch(2), verbose=0)).all()


def test_predictions_do_not_depend_on_flags(small_model):
    batch = random_batch(2)
    expected = small_model.predict_on_batch(batch)
    layers = [
        small_model.generator.get_layer(f"{x}_encoder_3")
        for x in ("texture", "structure")
    ]
    for frozen in layers:
        # Kernels of equal shapes, of which each would take the other's place.
        frozen.trainable = False
        np.testing.assert_array_equal(small_model.predict_on_batch(batch), expected)
        frozen.trainable = True


@slow_elsewhere
def test_frozen_layers_are_saved(tmp_path):
    model = make_model()
    layer = model.generator.get_layer(LAYER)
    layer.trainable = False
    model.discriminator.trainable = False
    compile_again(model)
    changed_weights(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = model.run_eagerly
    assert not loaded.generator.get_layer(LAYER).trainable
    assert loaded.generator.trainable and not loaded.discriminator.trainable
    for a, b in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(a.value), to_numpy(b.value))
    assert not changed_weights(loaded) & paths(
        loaded.generator.get_layer(LAYER), loaded.discriminator
    )


@slow_elsewhere
def test_perceptual_network_is_frozen_by_compile():
    vgg = VGG16Features(weights=None)
    vgg.trainable = True
    model = make_model(perceptual_network=vgg)
    before = read_weights(vgg)
    assert changed_weights(model)
    for path, value in read_weights(vgg).items():
        np.testing.assert_array_equal(value, before[path])


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_network_is_frozen_at_construction(network):
    frozen = network(filters=4, trainable=False)
    assert not any(layer.trainable for layer in frozen.layers)
    assert frozen.trainable_variables == []
