"""Gray and edge inputs that a model computes for batches of image and mask only."""

import keras
import numpy as np
import pytest
import skimage
from PIL import Image

import keras_ctsdg
from keras_ctsdg.data import InpaintingDataset, gray_and_edge
from keras_ctsdg.models import Discriminator, Generator
from keras_ctsdg.models.structure import compute_gray
from keras_ctsdg.training.callbacks import SampleGrid
from tests.common import (
    EAGER_ON_TENSORFLOW,
    call_compiled,
    random_batch,
    slow_if,
    to_numpy,
)
from tests.golden_files import read_golden
from tests.training.common import (
    DATA_KINDS,
    as_data_loader,
    as_tf_data,
    assert_runs_on,
)

IMAGE_AND_MASK = ("image", "mask")
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
COMPILED = keras.backend.backend() != "torch"


@pytest.fixture(scope="module")
def networks():
    keras.utils.set_random_seed(1)
    return Generator(filters=4), Discriminator(filters=4)


def new_model(networks, run_eagerly=EAGER_ON_TENSORFLOW, jit_compile="auto", **kwargs):
    model = keras_ctsdg.CTSDG(*networks, **kwargs)
    with pytest.warns(UserWarning, match="without the perceptual"):
        model.compile(run_eagerly=run_eagerly, jit_compile=jit_compile)
    return model


@pytest.fixture(scope="module")
def model(networks):
    return new_model(networks)


def photo_dataset(**kwargs):
    images = [Image.fromarray(getattr(skimage.data, name)()) for name in PHOTOS]
    kwargs = {"batch_size": 2, "image_size": 128, "shuffle": False, **kwargs}
    return InpaintingDataset(images, **kwargs)


def without_structure(batch):
    """Return a batch without gray and edge."""
    return {key: batch[key] for key in IMAGE_AND_MASK}


@pytest.mark.parametrize("edges", ["clean", "wrapped"])
def test_gray_equals_that_of_a_data_set(edges):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (64, 64, 3)).astype("float32")
    all_levels = np.arange(256, dtype="float32")[:, None, None].repeat(3, axis=-1)
    for image in (
        levels / np.float32(127.5) - 1,
        all_levels / np.float32(127.5) - 1,
        # Augmented images have values between the levels of bytes.
        rng.uniform(-1, 1, (64, 64, 3)).astype("float32"),
        read_golden("preprocessing.npz")["image"],
    ):
        image_tensor = keras.ops.convert_to_tensor(image[None])
        found = call_compiled(lambda x: compute_gray(x, edges), image_tensor)
        found = to_numpy(found)
        expected, _ = gray_and_edge(image, edges)
        np.testing.assert_allclose(found[0], expected, atol=1.5e-7)


@pytest.mark.parametrize("edges", ["clean", "wrapped"])
def test_computes_the_structure_of_a_data_set(networks, edges):
    model = keras_ctsdg.CTSDG(*networks, edges=edges)
    batch = photo_dataset(edges=edges)[0]
    computed = call_compiled(model.prepare_batch, photo_dataset(edges=None)[0])
    computed = to_numpy(computed)
    assert set(computed) == set(batch)
    np.testing.assert_allclose(computed["gray"], batch["gray"], atol=1.5e-7)
    assert (computed["edge"] == batch["edge"]).mean() >= 0.999
    assert computed["edge"].mean() > 0.01
    given = to_numpy(model.prepare_batch(batch))
    np.testing.assert_array_equal(given["edge"], batch["edge"])


# TensorFlow and XLA trace and compile four steps for it.
@slow_if(keras.backend.backend() == "tensorflow")
def test_compiled_step_equals_that_with_given_structure(networks, monkeypatch):
    """It is also traced as often: once."""
    model = new_model(
        networks, run_eagerly=False, jit_compile=COMPILED, edges="wrapped"
    )
    complete = to_numpy(model.prepare_batch(without_structure(photo_dataset()[0])))
    calls, losses = [], model.generator_losses
    monkeypatch.setattr(
        model,
        "generator_losses",
        lambda *args, **kwargs: calls.append(1) or losses(*args, **kwargs),
    )
    logs, filled, traced = [], [], []
    for batch in (complete, without_structure(complete)):
        calls.clear()
        filled.append(model.predict_on_batch(batch))
        logs.append(model.test_on_batch(batch, return_dict=True))
        traced.append(len(calls))
        model.test_on_batch(batch)
        assert len(calls) == (traced[-1] if COMPILED else 2)
    assert traced[1] <= traced[0]
    assert logs[1] == pytest.approx(logs[0], rel=1e-4, nan_ok=True)
    np.testing.assert_allclose(*filled, atol=1e-5)


# `test_ctsdg.py` runs every kind with gray and edge on every backend. Without them
# every backend trains, is tested and predicts in the tests above and below.
@pytest.mark.backend_independent
@pytest.mark.parametrize("make_data", DATA_KINDS)
def test_runs_on_every_kind_of_data(model, make_data):
    assert_runs_on(model, make_data, IMAGE_AND_MASK)


def test_fits_and_saves_sample_grids_of_a_data_set(model, tmp_path):
    dataset = photo_dataset(edges=None, workers=2)
    sample_grid = SampleGrid(tmp_path, dataset[0])
    history = model.fit(
        dataset, validation_data=dataset, callbacks=[sample_grid], verbose=0
    ).history
    assert np.isfinite(history["val_hole"]).all()
    assert (tmp_path / "epoch_0001.png").exists()


def test_structure_is_the_same_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = keras_ctsdg.CTSDG(Generator(filters=4))
    batch = to_numpy(model.prepare_batch(without_structure(photo_dataset()[0])))
    expected = model.predict_on_batch(batch)
    found = model.predict_on_batch(without_structure(batch))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    known = np.broadcast_to(batch["mask"] == 0, found.shape)
    np.testing.assert_array_equal(found[known], batch["image"][known])


def test_sigma_of_the_model_is_used_and_saved(tmp_path, model):
    other = keras_ctsdg.CTSDG(model.generator, sigma=1.0)
    other.save(tmp_path / "other.keras")
    other.save_to_preset(tmp_path / "preset", with_discriminator=False)
    batch = photo_dataset(sigma=1.0)[0]
    for revived in (
        other,
        keras.saving.load_model(tmp_path / "other.keras"),
        keras_ctsdg.from_preset(tmp_path / "preset"),
    ):
        assert revived.sigma == 1.0
        edge = to_numpy(revived.prepare_batch(without_structure(batch))["edge"])
        assert (edge == batch["edge"]).mean() >= 0.999
    assert (
        to_numpy(model.prepare_batch(without_structure(batch))["edge"]) != batch["edge"]
    ).any()
    with pytest.raises(ValueError, match="Received: sigma=0"):
        keras_ctsdg.CTSDG(model.generator, sigma=0)


def test_runs_in_a_functional_graph(model):
    # With a free batch size Keras would run the model on 83 images of PyTorch.
    inputs = {
        "image": keras.Input((128, 128, 3), 2, name="image"),
        "mask": keras.Input((128, 128, 1), 2, name="mask"),
    }
    graph = keras.Model(inputs, model(inputs))
    batch = without_structure(photo_dataset()[0])
    found = graph.predict(batch, verbose=0)
    np.testing.assert_allclose(found, model.predict_on_batch(batch), atol=1e-5)


@pytest.mark.parametrize("key", ["gray", "edge"])
def test_gray_or_edge_alone_is_rejected(model, key):
    batch = random_batch()
    batch = {name: x for name, x in batch.items() if name != key}
    for function in (model.fit, model.predict, model.train_on_batch, model):
        with pytest.raises(ValueError, match=rf"given together.*\['{key}'\] missing"):
            function(batch)


def test_bad_batches_without_structure_are_rejected(model):
    batch = without_structure(random_batch(2))
    for key in IMAGE_AND_MASK:
        with pytest.raises(ValueError, match=rf"\['{key}'\] missing. Received: keys="):
            model.fit({name: x for name, x in batch.items() if name != key})
    with pytest.raises(ValueError, match=r"`mask` must lie in \[0, 1\]"):
        model.fit(batch | {"mask": 255 * batch["mask"]})
    loader = as_data_loader(IMAGE_AND_MASK)
    loader.dataset[-1]["mask"] = 255 * loader.dataset[-1]["mask"]
    with pytest.raises(ValueError, match=r"`mask` must lie in \[0, 1\]"):
        model.predict(loader, verbose=0)
    with pytest.raises(ValueError, match="multiples of 128"):
        model.fit(
            as_tf_data(IMAGE_AND_MASK).map(
                lambda b: {k: v[:, :96] for k, v in b.items()}
            )
        )
