import threading

import keras
import numpy as np
import pytest

from keras_ctsdg.data import InpaintingDataset, gray_and_edge
from keras_ctsdg.data.augment import with_rng
from tests.data.common import arrays, photo


def test_comes_before_edges():
    def invert(picture):
        assert picture.dtype == np.float32
        assert 0 <= picture.min() < picture.max() <= 255
        return 255 - picture

    plain = InpaintingDataset([photo()], image_size=128)[0]
    inverted = InpaintingDataset([photo()], image_size=128, augment=invert)[0]
    np.testing.assert_allclose(inverted["image"], -plain["image"], atol=1e-6)
    expected = gray_and_edge(inverted["image"][0])
    np.testing.assert_array_equal(inverted["edge"][0], expected[1])


def test_result_is_kept_in_range():
    dataset = InpaintingDataset(arrays(1), image_size=16, augment=lambda x: 2 * x)
    assert dataset[0]["image"].max() == 1


def test_callables_that_want_random_numbers():
    rng = np.random.default_rng(0)
    assert with_rng(lambda picture, rng: rng)(0, rng) is rng
    assert with_rng(lambda picture, strength=3: strength)(0, rng) == 3
    assert with_rng(np.negative)(1, rng) == -1


def layer():
    return keras.Sequential(
        [
            keras.layers.RandomBrightness(0.3, seed=1),
            keras.layers.RandomContrast(0.5, seed=2),
        ]
    )


def test_keras_layers_draw_anew_for_each_place_and_epoch():
    kwargs = {"image_size": 16, "batch_size": 4, "augment": layer(), "shuffle": False}
    dataset = InpaintingDataset(arrays(1) * 4, **kwargs)
    first = dataset[0]["image"]
    assert len({image.tobytes() for image in first}) == 4
    np.testing.assert_array_equal(dataset[0]["image"], first)
    dataset.on_epoch_end()
    assert (dataset[0]["image"] != first).any()


def test_keras_layers_in_threads_draw_the_same():
    kwargs = {"image_size": 16, "batch_size": 1, "augment": layer()}
    dataset = InpaintingDataset(arrays(4), **kwargs)
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


def test_shape_must_stay():
    dataset = InpaintingDataset(arrays(1), image_size=16, augment=lambda x: x[:8])
    with pytest.raises(ValueError, match=r"shape it was given.*Received: \(8, 16, 3\)"):
        dataset[0]


def test_a_layer_in_processes_of_jax_is_refused():
    layer = keras.layers.RandomBrightness(0.1)
    if keras.backend.backend() != "jax":
        assert callable(with_rng(layer, in_processes=True))
        return
    with pytest.raises(ValueError, match="Received: .*use_multiprocessing=True"):
        with_rng(layer, in_processes=True)
