import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_ctsdg.data import InpaintingDataset, RandomIrregularMasks, gray_and_edge
from keras_ctsdg.data._batches import PackedBatch
from tests.data.common import (
    FLAT,
    arrays,
    hole,
    levels,
    photo,
    run_through_keras,
    shown,
)


def epochs(dataset, count=2):
    """All batches of some epochs, as one flat list of arrays."""
    result = []
    for _ in range(count):
        result += [array for i in range(len(dataset)) for array in dataset[i].values()]
        dataset.on_epoch_end()
    return result


def test_yields_what_the_networks_take():
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


def test_edges_and_sigma_are_heeded():
    expected = InpaintingDataset([photo()])[0]
    for kwargs in ({"edges": "wrapped"}, {"sigma": 1.0}):
        other = InpaintingDataset([photo()], **kwargs)[0]
        np.testing.assert_array_equal(other["image"], expected["image"])
        assert (other["edge"] != expected["edge"]).any()


@pytest.mark.filterwarnings("ignore:.*fork:")
def test_without_edges_all_else_is_the_same():
    kwargs = {"horizontal_flip": True, **FLAT}
    expected = InpaintingDataset(arrays(5), **kwargs)
    dataset = InpaintingDataset(arrays(5), edges=None, **kwargs)
    assert [set(dataset[i]) for i in range(3)] == [{"image", "mask"}] * 3
    for i in range(3):
        for key in ("image", "mask"):
            np.testing.assert_array_equal(dataset[i][key], expected[i][key])
    workers = InpaintingDataset(
        arrays(5), edges=None, workers=2, use_multiprocessing=True, **kwargs
    )
    for x, y in zip(run_through_keras(workers), epochs(dataset), strict=True):
        np.testing.assert_array_equal(x, y)


def test_crop_is_amid_the_picture():
    picture = np.zeros((40, 100, 3), "uint8")
    picture[:, 30:70] = 255
    cropped = InpaintingDataset([picture], image_size=32)[0]["image"]
    assert (cropped == 1).all()
    stretched = InpaintingDataset([picture], image_size=32, center_crop=False)[0]
    assert stretched["image"].min() == -1


def test_every_picture_comes_once_an_epoch_in_random_order():
    dataset = InpaintingDataset(levels(*range(20)), **FLAT)
    first, same = shown(dataset), shown(dataset)
    dataset.on_epoch_end()
    second = shown(dataset)
    assert first == same != second
    assert sorted(first) == sorted(second) == list(range(20)) != first


def test_evaluation_keeps_the_order_and_pairs_by_turns():
    masks = [hole(32, share) for share in (0.25, 0.5, 0.75)]
    dataset = InpaintingDataset(levels(*range(7)), masks, shuffle=False, **FLAT)
    assert shown(dataset) == list(range(7))
    covered = [dataset.item(i)["mask"].mean() for i in range(7)]
    assert covered == [0.25, 0.5, 0.75, 0.25, 0.5, 0.75, 0.25]
    before = epochs(dataset, 1)
    for x, y in zip(before, epochs(dataset, 1), strict=True):
        np.testing.assert_array_equal(x, y)
    assert dataset.names(4) == ("images[4]", "masks[1]")


def test_training_pairs_at_random():
    masks = [hole(32, share) for share in (0.25, 0.5, 0.75)]
    dataset = InpaintingDataset(levels(*range(30)), masks, **FLAT)
    drawn = [dataset.pair(i)[1] for i in range(30)]
    assert set(drawn) == {0, 1, 2}
    dataset.on_epoch_end()
    assert drawn != [dataset.pair(i)[1] for i in range(30)]


def test_drawn_masks_change_in_training_and_stay_in_evaluation():
    masks = RandomIrregularMasks((0.1, 0.2), seed=5)
    for shuffle in (True, False):
        dataset = InpaintingDataset(levels(1, 2), masks, shuffle=shuffle, **FLAT)
        first = dataset[0]["mask"]
        assert ((0.09 < first.mean((1, 2, 3))) & (first.mean((1, 2, 3)) < 0.21)).all()
        dataset.on_epoch_end()
        assert (dataset[0]["mask"] != first).any() == shuffle


def test_flip_mirrors_half_of_the_pictures():
    picture = np.zeros((32, 32, 3), "uint8")
    picture[:, :16] = 255
    dataset = InpaintingDataset([picture] * 40, horizontal_flip=True, **FLAT)
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
    share=st.floats(0.05, 0.8),
    center_crop=st.booleans(),
)
def test_any_size_mode_and_hole(sizes, mode, target, share, center_crop):
    rng = np.random.default_rng(0)
    pictures = []
    for width, height in sizes:
        if mode == "I;16":
            deep = rng.integers(0, 65536, (height, width), "uint16")
            pictures.append(Image.fromarray(deep))
        else:
            color = Image.fromarray(rng.integers(0, 256, (height, width, 3), "uint8"))
            pictures.append(color.convert(mode))
    masks = RandomIrregularMasks((share, share + 0.1))
    dataset = InpaintingDataset(
        pictures, masks, image_size=target, center_crop=center_crop
    )
    batch = dataset[0]
    assert batch["image"].shape == (len(sizes), *target, 3)
    assert -1 <= batch["image"].min() <= batch["image"].max() <= 1
    covered = batch["mask"].mean(axis=(1, 2, 3))
    pixels = target[0] * target[1]
    assert (covered > share - 1 / pixels).all()
    assert (covered < share + 0.1 + 1 / pixels).all()


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 12),
    batch_size=st.integers(1, 5),
    shards=st.integers(1, 3),
    shuffle=st.booleans(),
    seed=st.integers(0, 9),
)
def test_items_depend_on_seed_epoch_and_place_alone(
    count, batch_size, shards, shuffle, seed
):
    kwargs = {"image_size": 16, "shuffle": shuffle, "seed": seed}
    kwargs |= {"horizontal_flip": True, "augment": brighten}
    pictures = arrays(count, side=16)
    whole = InpaintingDataset(pictures, batch_size=1, **kwargs)
    whole.on_epoch_end()
    expected = [whole[i] for i in range(count)]
    if shuffle and count < shards:
        shards = 1
    for rank in range(min(shards, count)):
        part = InpaintingDataset(
            pictures, batch_size=batch_size, shard=(rank, shards), **kwargs
        )
        part.epoch = 1  # As if resumed.
        places = range(rank, count, shards)[: part.num_items]
        items = [
            {k: v[i] for k, v in b.items()} for b in part for i in range(len(b["mask"]))
        ]
        assert len(items) == len(places)
        for item, place in zip(items, places, strict=True):
            for key, value in item.items():
                np.testing.assert_array_equal(value, expected[place][key][0])


def brighten(picture, rng):
    return picture + rng.uniform(0, 50)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.filterwarnings("ignore:.*fork:")
def test_workers_change_nothing(workers, processes):
    kwargs = {"image_size": 16, "batch_size": 2, "augment": brighten}
    expected = epochs(InpaintingDataset(arrays(7), **kwargs))
    dataset = InpaintingDataset(
        arrays(7), workers=workers, use_multiprocessing=processes, **kwargs
    )
    brought = run_through_keras(dataset)
    assert len(brought) == len(expected)
    for x, y in zip(brought, expected, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("augment", [None, lambda picture: picture * 0.9])
@pytest.mark.parametrize("edges", ["clean", None])
def test_parcels_bring_every_bit(augment, edges):
    dataset = InpaintingDataset([photo()], image_size=64, augment=augment, edges=edges)
    again = pickle.loads(pickle.dumps(PackedBatch(dataset[0], dataset.skipped)))
    assert type(again) is dict
    for key, value in dataset[0].items():
        assert again[key].dtype == np.float32
        np.testing.assert_array_equal(again[key], value)


def test_survives_pickling():
    dataset = InpaintingDataset(arrays(3), image_size=16)
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(dataset[0]["image"], again[0]["image"])


def test_epochs_of_a_given_length():
    pictures = levels(*range(5))
    dataset = InpaintingDataset(pictures, steps_per_epoch=4, **FLAT)
    assert len(dataset) == 4
    seen = shown(dataset)
    assert sorted(seen[:5]) == list(range(5))
    assert len(set(seen[5:])) == 3
    assert len(InpaintingDataset(pictures, steps_per_epoch=1, **FLAT)) == 1


def test_remainder():
    assert len(InpaintingDataset(levels(1, 2, 3), **FLAT)) == 2
    dataset = InpaintingDataset(levels(1, 2, 3), drop_remainder=True, **FLAT)
    assert [len(batch["mask"]) for batch in dataset] == [2]
