"""KerasCV, the extra `cv`: its augmentation and its VGG16, on every backend.

KerasCV computes augmentations with TensorFlow, whatever Keras runs on.
"""

import importlib.util

import keras
import numpy as np
import pytest
from PIL import Image

import keras_ctsdg
from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.models import Discriminator, Generator, VGG16Features
from tests.common import EAGER_ON_TENSORFLOW, assert_close, slow_if

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("keras_cv") is None,
    reason="the extra `cv` is not installed",
)
ON_JAX = keras.backend.backend() == "jax"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four images of noise, in files."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(4):
        levels = rng.integers(0, 256, (140, 150, 3), "uint8")
        Image.fromarray(levels).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def backbone():
    """KerasCV's VGG16 with random weights."""
    import keras_cv

    return keras_cv.models.VGG16Backbone(
        include_rescaling=False, include_top=False, input_shape=(None, None, 3)
    )


def color_jitter():
    import keras_cv

    return keras_cv.layers.RandomColorJitter(
        value_range=(0, 255),
        brightness_factor=0.2,
        contrast_factor=0.2,
        saturation_factor=0.2,
        hue_factor=0.1,
    )


def make_dataset(folder, **kwargs):
    options = {"image_size": 128, "batch_size": 2, "shuffle": False, "workers": 2}
    return InpaintingDataset(folder, **{**options, **kwargs})


def test_vgg16_sees_images_in_0_to_1(backbone):
    vgg = VGG16Features(backbone)
    assert vgg.input_scaling == "unit"
    image = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype("float32")
    outputs = [backbone.get_layer(f"block{i}_pool").output for i in (1, 2, 3)]
    expected = keras.Model(backbone.input, outputs)((image + 1) / 2)
    for feature, value in zip(vgg(image), expected, strict=True):
        assert_close(feature, keras.ops.convert_to_numpy(value), atol=1e-5)


# Where the step is compiled, VGG16 takes a minute.
@slow_if(keras.backend.backend() != "tensorflow")
def test_fit_with_augmentation_and_perceptual_network(folder, backbone):
    model = keras_ctsdg.CTSDG(Generator(filters=4), Discriminator(filters=4))
    model.compile(
        perceptual_network=VGG16Features(backbone), run_eagerly=EAGER_ON_TENSORFLOW
    )
    dataset = make_dataset(folder, augment=color_jitter())
    history = model.fit(dataset, steps_per_epoch=1, verbose=0).history
    assert history["perceptual"][0] > 0
    assert history["style"][0] > 0
    assert np.isfinite(list(history.values())).all()


def test_augmentation_changes_every_image(folder):
    """KerasCV has random numbers of its own, which no seed of a data set repeats."""
    plain = make_dataset(folder, edges=None)[0]
    dataset = make_dataset(folder, edges=None, augment=color_jitter())
    first, second = dataset[0], dataset[0]
    for one, other in ((first, plain), (first, second)):
        difference = np.abs(one["image"] - other["image"]).max(axis=(1, 2, 3))
        assert (difference > 1e-3).all()
        np.testing.assert_array_equal(one["mask"], other["mask"])
    assert np.abs(first["image"]).max() <= 1


# A fork of a process in which TensorFlow has computed may wait for ever: here only what
# JAX refuses.
@slow_if(not ON_JAX)
@pytest.mark.filterwarnings("ignore:.*fork:")
def test_augmentation_in_worker_processes(folder, small_model):
    options = {"augment": color_jitter(), "use_multiprocessing": True}
    if ON_JAX:
        with pytest.raises(ValueError, match="cannot run in worker processes on JAX"):
            make_dataset(folder, **options)
        return
    history = small_model.fit(make_dataset(folder, **options), verbose=0).history
    assert np.isfinite(list(history.values())).all()
