"""Gray and edge that a model draws where a batch brings picture and mask alone."""

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
from tests.common import TRACES, golden, random_batch, to_numpy
from tests.test_ctsdg import KINDS, as_data_loader, as_tf_data, check_doors

SHORT = ("image", "mask")
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
COMPILED = keras.backend.backend() != "torch"


@pytest.fixture(scope="module")
def networks():
    keras.utils.set_random_seed(1)
    return Generator(filters=4), Discriminator(filters=4)


def new_model(networks, run_eagerly=TRACES, jit_compile="auto", **kwargs):
    model = keras_ctsdg.CTSDG(*networks, **kwargs)
    with pytest.warns(UserWarning, match="without the perceptual"):
        model.compile(run_eagerly=run_eagerly, jit_compile=jit_compile)
    return model


@pytest.fixture(scope="module")
def model(networks):
    return new_model(networks)


def photos(**kwargs):
    pictures = [Image.fromarray(getattr(skimage.data, name)()) for name in PHOTOS]
    kwargs = {"batch_size": 2, "image_size": 128, "shuffle": False, **kwargs}
    return InpaintingDataset(pictures, **kwargs)


def shortened(batch):
    return {key: batch[key] for key in SHORT}


@pytest.mark.parametrize("edges", ["clean", "wrapped"])
def test_gray_is_that_of_a_data_set(edges):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (64, 64, 3)).astype("float32")
    every = np.arange(256, dtype="float32")[:, None, None].repeat(3, axis=-1)
    for image in (
        levels / np.float32(127.5) - 1,
        every / np.float32(127.5) - 1,
        # As after an augmentation: of more levels than bytes have.
        rng.uniform(-1, 1, (64, 64, 3)).astype("float32"),
        golden("preprocessing.npz")["image"],
    ):
        found = to_numpy(compute_gray(keras.ops.convert_to_tensor(image[None]), edges))
        expected, _ = gray_and_edge(image, edges)
        np.testing.assert_allclose(found[0], expected, atol=1.5e-7)


@pytest.mark.parametrize("edges", ["clean", "wrapped"])
def test_draws_what_a_data_set_brings(networks, edges):
    model = keras_ctsdg.CTSDG(*networks, edges=edges)
    batch = photos(edges=edges)[0]
    drawn = to_numpy(model.prepare_batch(photos(edges=None)[0]))
    assert set(drawn) == set(batch)
    np.testing.assert_allclose(drawn["gray"], batch["gray"], atol=1.5e-7)
    assert (drawn["edge"] == batch["edge"]).mean() >= 0.999
    assert drawn["edge"].mean() > 0.01
    given = to_numpy(model.prepare_batch(batch))
    np.testing.assert_array_equal(given["edge"], batch["edge"])


def test_compiled_steps_are_those_with_the_same_edges_given(networks, monkeypatch):
    """And are traced as often: once."""
    model = new_model(
        networks, run_eagerly=False, jit_compile=COMPILED, edges="wrapped"
    )
    whole = to_numpy(model.prepare_batch(shortened(photos()[0])))
    start, calls, losses = model.get_weights(), [], model.generator_losses
    monkeypatch.setattr(
        model,
        "generator_losses",
        lambda *args, **kwargs: calls.append(1) or losses(*args, **kwargs),
    )
    logs, filled, traced = [], [], []
    for batch in (whole, shortened(whole)):
        calls.clear()
        model.set_weights(start)
        filled.append(model.predict_on_batch(batch))
        logs.append(model.train_on_batch(batch, return_dict=True))
        traced.append(len(calls))
        model.train_on_batch(batch)
        assert len(calls) == (traced[-1] if COMPILED else 2)
    assert traced[1] <= traced[0]
    assert logs[1] == pytest.approx(logs[0], rel=1e-4)
    np.testing.assert_allclose(*filled, atol=1e-5)


@pytest.mark.parametrize("data", KINDS)
def test_takes_data_of_every_kind(model, data):
    check_doors(model, data, SHORT)


def test_fits_and_draws_sheets_of_a_data_set(model, tmp_path):
    dataset = photos(edges=None, workers=2)
    sheets = SampleGrid(tmp_path, dataset[0])
    history = model.fit(
        dataset, validation_data=dataset, callbacks=[sheets], verbose=0
    ).history
    assert np.isfinite(history["val_hole"]).all()
    assert (tmp_path / "epoch_0001.png").exists()


def test_half_precision_draws_the_same():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = keras_ctsdg.CTSDG(Generator(filters=4))
    batch = to_numpy(model.prepare_batch(shortened(photos()[0])))
    expected = model.predict_on_batch(batch)
    found = model.predict_on_batch(shortened(batch))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    kept = np.broadcast_to(batch["mask"] == 0, found.shape)
    np.testing.assert_array_equal(found[kept], batch["image"][kept])


def test_sigma_is_the_models(tmp_path, model):
    other = keras_ctsdg.CTSDG(model.generator, sigma=1.0)
    other.save(tmp_path / "other.keras")
    other.save_to_preset(tmp_path / "preset", with_discriminator=False)
    batch = photos(sigma=1.0)[0]
    for same in (
        other,
        keras.saving.load_model(tmp_path / "other.keras"),
        keras_ctsdg.from_preset(tmp_path / "preset"),
    ):
        assert same.sigma == 1.0
        edge = to_numpy(same.prepare_batch(shortened(batch))["edge"])
        assert (edge == batch["edge"]).mean() >= 0.999
    assert (
        to_numpy(model.prepare_batch(shortened(batch))["edge"]) != batch["edge"]
    ).any()
    with pytest.raises(ValueError, match="Received: sigma=0"):
        keras_ctsdg.CTSDG(model.generator, sigma=0)


def test_in_a_functional_graph(model):
    inputs = {
        "image": keras.Input((128, 128, 3), name="image"),
        "mask": keras.Input((128, 128, 1), name="mask"),
    }
    graph = keras.Model(inputs, model(inputs))
    batch = shortened(photos()[0])
    found = graph.predict(batch, verbose=0)
    np.testing.assert_allclose(found, model.predict_on_batch(batch), atol=1e-5)


@pytest.mark.parametrize("key", ["gray", "edge"])
def test_one_of_the_two_alone_is_refused(model, key):
    batch = random_batch()
    half = {name: x for name, x in batch.items() if name != key}
    for enter in (model.fit, model.predict, model.train_on_batch, model):
        with pytest.raises(ValueError, match=rf"come together.*\['{key}'\] missing"):
            enter(half)


def test_bad_short_batches_are_refused(model):
    batch = shortened(random_batch(2))
    for key in SHORT:
        with pytest.raises(ValueError, match=rf"\['{key}'\] missing. Received: keys="):
            model.fit({name: x for name, x in batch.items() if name != key})
    with pytest.raises(ValueError, match=r"`mask` must lie in \[0, 1\]"):
        model.fit(batch | {"mask": 255 * batch["mask"]})
    loader = as_data_loader(SHORT)
    loader.dataset[-1]["mask"] = 255 * loader.dataset[-1]["mask"]
    with pytest.raises(ValueError, match=r"`mask` must lie in \[0, 1\]"):
        model.predict(loader, verbose=0)
    with pytest.raises(ValueError, match="multiples of 128"):
        model.fit(as_tf_data(SHORT).map(lambda b: {k: v[:, :96] for k, v in b.items()}))
