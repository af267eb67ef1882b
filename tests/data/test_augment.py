import threading

import keras
import numpy as np
import pytest

from keras_ctsdg.data import InpaintingDataset, gray_and_edge
from keras_ctsdg.data.augment import as_seeded_augment
from tests.data.common import noise_images, photo


def test_augment_runs_before_edges():
    def invert(image):
        assert image.dtype == np.float32
        assert 0 <= image.min() < image.max() <= 255
        return 255 - image

    plain = InpaintingDataset([photo()], image_size=128)[0]
    inverted = InpaintingDataset([photo()], image_size=128, augment=invert)[0]
    np.testing.assert_allclose(inverted["image"], -plain["image"], atol=1e-6)
    expected = gray_and_edge(inverted["image"][0])
    np.testing.assert_array_equal(inverted["edge"][0], expected[1])


def test_result_is_clipped():
    dataset = InpaintingDataset(noise_images(1), image_size=16, augment=lambda x: 2 * x)
    assert dataset[0]["image"].max() == 1


@pytest.mark.parametrize(
    ("augment", "values"),
    [
        (lambda x: x / 255, "0 to 1"),
        (lambda x: x / 127.5 - 1, "-1 to 1"),
        (lambda x: 257 * x, "0 to 65535"),
        (lambda x: x * np.nan, "nan to nan"),
        (lambda x: np.where(x < 200, x, np.inf), "0 to inf"),
        (lambda x: x - 300, "-300 to -45"),
    ],
)
def test_another_range_is_refused(augment, values):
    image = np.zeros((16, 16, 3), "uint8")
    image[0], image[1] = 100, 255
    dataset = InpaintingDataset([image], image_size=16, augment=augment)
    with pytest.raises(
        ValueError, match=rf"`augment` must .*Received: .*{values}, for"
    ):
        dataset[0]


def test_dark_images_may_be_returned():
    for level in (0, 1):
        dataset = InpaintingDataset(
            noise_images(1), image_size=16, augment=lambda x, level=level: 0 * x + level
        )
        assert dataset[0]["image"].max() == pytest.approx(level / 127.5 - 1)


def test_callables_with_and_without_rng():
    rng = np.random.default_rng(0)
    assert as_seeded_augment(lambda image, rng: rng)(0, rng) is rng
    assert as_seeded_augment(lambda image, strength=3: strength)(0, rng) == 3
    assert as_seeded_augment(np.negative)(1, rng) == -1


def make_layer():
    return keras.Sequential(
        [
            keras.layers.RandomBrightness(0.3, seed=1),
            keras.layers.RandomContrast(0.5, seed=2),
        ]
    )


def test_keras_layers_differ_by_index_and_epoch():
    kwargs = {
        "image_size": 16,
        "batch_size": 4,
        "augment": make_layer(),
        "shuffle": False,
    }
    dataset = InpaintingDataset(noise_images(1) * 4, **kwargs)
    first = dataset[0]["image"]
    assert len({image.tobytes() for image in first}) == 4
    np.testing.assert_array_equal(dataset[0]["image"], first)
    dataset.on_epoch_end()
    assert (dataset[0]["image"] != first).any()


def test_keras_layers_do_not_depend_on_threads():
    kwargs = {"image_size": 16, "batch_size": 1, "augment": make_layer()}
    dataset = InpaintingDataset(noise_images(4), **kwargs)
    expected = [dataset[i]["image"] for i in range(4)]
    results = [None] * 4

    def work(i):
        results[i] = dataset[i]["image"]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for x, y in zip(results, expected, strict=True):
        np.testing.assert_array_equal(x, y)


def test_other_shape_is_refused():
    dataset = InpaintingDataset(noise_images(1), image_size=16, augment=lambda x: x[:8])
    with pytest.raises(ValueError, match=r"the same shape.*Received: \(8, 16, 3\)"):
        dataset[0]


def test_layer_in_worker_processes_is_refused_on_jax():
    layer = keras.layers.RandomBrightness(0.1)
    if keras.backend.backend() != "jax":
        assert callable(as_seeded_augment(layer, use_multiprocessing=True))
        return
    with pytest.raises(ValueError, match="Received: .*use_multiprocessing=True"):
        as_seeded_augment(layer, use_multiprocessing=True)
