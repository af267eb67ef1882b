import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_ctsdg.data import (
    Crop,
    InpaintingDataset,
    RandomIrregularMasks,
    gray_and_edge,
)
from keras_ctsdg.data._batches import WorkerBatch
from tests.data.common import (
    SMALL,
    gray_images,
    hole_mask,
    noise_images,
    photo,
    read_arrays,
    read_arrays_with_workers,
    read_levels,
)


def test_batches_have_the_inputs_of_the_networks():
    dataset = InpaintingDataset([photo(), photo((218, 178))], image_size=(128, 256))
    assert len(dataset) == 1
    batch = dataset[0]
    assert {key: x.shape for key, x in batch.items()} == {
        "image": (2, 128, 256, 3),
        "gray": (2, 128, 256, 1),
        "edge": (2, 128, 256, 1),
        "mask": (2, 128, 256, 1),
    }
    assert all(x.dtype == np.float32 for x in batch.values())
    assert -1 <= batch["image"].min() < 0 < batch["image"].max() <= 1
    for key in ("edge", "mask"):
        assert set(np.unique(batch[key])) == {0.0, 1.0}
    for image, gray, edge in zip(
        batch["image"], batch["gray"], batch["edge"], strict=True
    ):
        expected = gray_and_edge(image)
        np.testing.assert_array_equal(gray, expected[0])
        np.testing.assert_array_equal(edge, expected[1])


def test_edges_and_sigma_are_used():
    expected = InpaintingDataset([photo()])[0]
    for kwargs in ({"edges": "wrapped"}, {"sigma": 1.0}):
        other = InpaintingDataset([photo()], **kwargs)[0]
        np.testing.assert_array_equal(other["image"], expected["image"])
        assert (other["edge"] != expected["edge"]).any()


@pytest.mark.filterwarnings("ignore:.*fork:")
def test_without_edges_images_and_masks_are_the_same():
    kwargs = {"horizontal_flip": True, **SMALL}
    expected = InpaintingDataset(noise_images(5), **kwargs)
    dataset = InpaintingDataset(noise_images(5), edges=None, **kwargs)
    assert [set(dataset[i]) for i in range(3)] == [{"image", "mask"}] * 3
    for i in range(3):
        for key in ("image", "mask"):
            np.testing.assert_array_equal(dataset[i][key], expected[i][key])
    workers = InpaintingDataset(
        noise_images(5), edges=None, workers=2, use_multiprocessing=True, **kwargs
    )
    for x, y in zip(
        read_arrays_with_workers(workers), read_arrays(dataset), strict=True
    ):
        np.testing.assert_array_equal(x, y)


def test_shuffle_yields_every_image_once_an_epoch():
    dataset = InpaintingDataset(gray_images(*range(20)), **SMALL)
    first, same = read_levels(dataset), read_levels(dataset)
    dataset.on_epoch_end()
    second = read_levels(dataset)
    assert first == same != second
    assert sorted(first) == sorted(second) == list(range(20)) != first


def test_evaluation_uses_images_and_masks_in_order():
    masks = [hole_mask(32, mask_ratio) for mask_ratio in (0.25, 0.5, 0.75)]
    dataset = InpaintingDataset(gray_images(*range(7)), masks, shuffle=False, **SMALL)
    assert read_levels(dataset) == list(range(7))
    covered = [dataset.sample(i)["mask"].mean() for i in range(7)]
    assert covered == [0.25, 0.5, 0.75, 0.25, 0.5, 0.75, 0.25]
    before = read_arrays(dataset, 1)
    for x, y in zip(before, read_arrays(dataset, 1), strict=True):
        np.testing.assert_array_equal(x, y)
    assert dataset.source_names(4) == ("images[4]", "masks[1]")


def test_training_uses_random_masks():
    masks = [hole_mask(32, mask_ratio) for mask_ratio in (0.25, 0.5, 0.75)]
    dataset = InpaintingDataset(gray_images(*range(30)), masks, **SMALL)
    chosen = [dataset.source_indices(i)[1] for i in range(30)]
    assert set(chosen) == {0, 1, 2}
    dataset.on_epoch_end()
    assert chosen != [dataset.source_indices(i)[1] for i in range(30)]


def test_random_masks_change_by_epoch_in_training_only():
    masks = RandomIrregularMasks((0.1, 0.2), seed=5)
    for shuffle in (True, False):
        dataset = InpaintingDataset(gray_images(1, 2), masks, shuffle=shuffle, **SMALL)
        first = dataset[0]["mask"]
        assert ((0.09 < first.mean((1, 2, 3))) & (first.mean((1, 2, 3)) < 0.21)).all()
        dataset.on_epoch_end()
        assert (dataset[0]["mask"] != first).any() == shuffle


def test_flip_mirrors_half_of_the_images():
    image = np.zeros((32, 32, 3), "uint8")
    image[:, :16] = 255
    dataset = InpaintingDataset([image] * 40, horizontal_flip=True, **SMALL)
    images = np.concatenate([dataset[i]["image"] for i in range(len(dataset))])
    mirrored = images[:, 0, 0, 0] == -1
    assert 8 < mirrored.sum() < 32
    for image, mirror in zip(images, mirrored, strict=True):
        np.testing.assert_array_equal(
            image[:, ::-1] if mirror else image, images[~mirrored][0]
        )


SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70))


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(SIZES, min_size=1, max_size=4),
    mode=st.sampled_from(["RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "I;16"]),
    target=st.sampled_from([(16, 16), (24, 40), (41, 17)]),
    mask_ratio=st.floats(0.05, 0.8),
    crop=st.sampled_from([*Crop, None]),
)
def test_any_size_mode_and_mask_ratio(sizes, mode, target, mask_ratio, crop):
    rng = np.random.default_rng(0)
    images = []
    for width, height in sizes:
        if mode == "I;16":
            levels = rng.integers(0, 65536, (height, width), "uint16")
            images.append(Image.fromarray(levels))
        else:
            color = Image.fromarray(rng.integers(0, 256, (height, width, 3), "uint8"))
            images.append(color.convert(mode))
    masks = RandomIrregularMasks((mask_ratio, mask_ratio + 0.1))
    dataset = InpaintingDataset(images, masks, image_size=target, crop=crop)
    batch = dataset[0]
    assert batch["image"].shape == (len(sizes), *target, 3)
    assert -1 <= batch["image"].min() <= batch["image"].max() <= 1
    covered = batch["mask"].mean(axis=(1, 2, 3))
    pixels = target[0] * target[1]
    assert (covered > mask_ratio - 1 / pixels).all()
    assert (covered < mask_ratio + 0.1 + 1 / pixels).all()


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 12),
    batch_size=st.integers(1, 5),
    shards=st.integers(1, 3),
    shuffle=st.booleans(),
    seed=st.integers(0, 9),
)
def test_samples_depend_on_seed_epoch_and_index_alone(
    count, batch_size, shards, shuffle, seed
):
    kwargs = {"image_size": 16, "shuffle": shuffle, "seed": seed}
    kwargs |= {"crop": "random", "horizontal_flip": True, "augment": brighten}
    images = noise_images(count, side=24)
    whole = InpaintingDataset(images, batch_size=1, **kwargs)
    whole.on_epoch_end()
    expected = [whole[i] for i in range(count)]
    if shuffle and count < shards:
        shards = 1
    for rank in range(min(shards, count)):
        part = InpaintingDataset(
            images, batch_size=batch_size, shard=(rank, shards), **kwargs
        )
        part.epoch = 1  # As if resumed.
        indices = range(rank, count, shards)[: part.num_samples]
        samples = [
            {k: b[k][i] for k in expected[0]}
            for b in part
            for i in range(len(b["mask"]))
            if b.get("sample_weight", np.ones(len(b["mask"])))[i]
        ]
        assert len(samples) == len(indices)
        for sample, index in zip(samples, indices, strict=True):
            for key, value in sample.items():
                np.testing.assert_array_equal(value, expected[index][key][0])


def brighten(image, rng):
    return image + rng.uniform(0, 50)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.filterwarnings("ignore:.*fork:")
def test_workers_yield_the_same_batches(workers, processes):
    kwargs = {"image_size": 16, "batch_size": 2, "crop": "random"}
    kwargs["augment"] = brighten
    expected = read_arrays(InpaintingDataset(noise_images(7), **kwargs))
    dataset = InpaintingDataset(
        noise_images(7), workers=workers, use_multiprocessing=processes, **kwargs
    )
    found = read_arrays_with_workers(dataset)
    assert len(found) == len(expected)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("augment", [None, lambda image: image * 0.9])
@pytest.mark.parametrize("edges", ["clean", None])
def test_pickled_batches_keep_every_bit(augment, edges):
    dataset = InpaintingDataset([photo()], image_size=64, augment=augment, edges=edges)
    again = pickle.loads(pickle.dumps(WorkerBatch(dataset[0], dataset.skipped)))
    assert type(again) is dict
    for key, value in dataset[0].items():
        assert again[key].dtype == np.float32
        np.testing.assert_array_equal(again[key], value)


def test_data_set_can_be_pickled():
    dataset = InpaintingDataset(noise_images(3), image_size=16)
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(dataset[0]["image"], again[0]["image"])


def test_steps_per_epoch():
    images = gray_images(*range(5))
    dataset = InpaintingDataset(images, steps_per_epoch=4, **SMALL)
    assert len(dataset) == 4
    seen = read_levels(dataset)
    assert sorted(seen[:5]) == list(range(5))
    assert len(set(seen[5:])) == 3
    assert len(InpaintingDataset(images, steps_per_epoch=1, **SMALL)) == 1


def test_remainder():
    assert len(InpaintingDataset(gray_images(1, 2, 3), **SMALL)) == 2
    dataset = InpaintingDataset(gray_images(1, 2, 3), drop_remainder=True, **SMALL)
    assert [len(batch["mask"]) for batch in dataset] == [2]
