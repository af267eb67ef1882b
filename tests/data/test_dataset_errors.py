import pickle
import warnings

import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.data.images import ImageError
from tests.data.common import FLAT, hole, levels, run_through_keras, shown


def write_pictures(folder, bad=(1,)):
    for i in range(4):
        path = folder / f"{i}.png"
        if i in bad:
            path.write_text("no picture")
        else:
            Image.fromarray(levels(i)[0]).save(path)
    return folder


def test_a_bad_picture_stops_by_name(tmp_path):
    dataset = InpaintingDataset(write_pictures(tmp_path), shuffle=False, **FLAT)
    with pytest.raises(ImageError, match=r"Picture 1 of `images`.*Received: .*1\.png"):
        dataset[0]


def test_skipping_in_training_keeps_batches_full(tmp_path):
    dataset = InpaintingDataset(write_pictures(tmp_path), on_error="skip", **FLAT)
    with pytest.warns(UserWarning, match="Skipped: Picture 1") as caught:
        seen = shown(dataset) + shown(dataset)
    assert len(caught) == 1
    assert len(seen) == 8
    assert set(seen) == {0, 2, 3}
    assert list(dataset.skipped) == [str(tmp_path / "1.png")]


def test_skipping_in_evaluation_counts_nothing_twice(tmp_path):
    dataset = InpaintingDataset(
        write_pictures(tmp_path), on_error="skip", shuffle=False, **FLAT
    )
    with pytest.warns(UserWarning, match="Skipped"):
        assert shown(dataset) == [0, 2, 3]
    assert dataset.item(1) is None


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.filterwarnings("ignore:.*fork:")
def test_workers_tell_what_they_skip(tmp_path, processes):
    dataset = InpaintingDataset(
        write_pictures(tmp_path),
        on_error="skip",
        workers=2,
        use_multiprocessing=processes,
        **FLAT,
    )
    copied = pickle.loads(pickle.dumps(dataset))
    with pytest.warns(UserWarning, match="Skipped: Picture 1") as caught:
        run_through_keras(dataset)
    assert sum("Skipped" in str(w.message) for w in caught) == 1
    assert list(dataset.skipped) == [str(tmp_path / "1.png")]
    assert copied.skipped == {}


@pytest.mark.filterwarnings("ignore:.*fork:")
def test_workers_go_on_where_warnings_are_errors(tmp_path):
    dataset = InpaintingDataset(
        write_pictures(tmp_path),
        on_error="skip",
        workers=2,
        use_multiprocessing=True,
        **FLAT,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Skipped")
        assert run_through_keras(dataset)
    assert list(dataset.skipped) == [str(tmp_path / "1.png")]


def test_nothing_left(tmp_path):
    folder = write_pictures(tmp_path, bad=range(4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for shuffle in (True, False):
            dataset = InpaintingDataset(
                folder, on_error="skip", shuffle=shuffle, **FLAT
            )
            with pytest.raises(ImageError, match="can be used"):
                dataset[0]


def test_a_batch_with_nothing_left_says_what_to_do(tmp_path):
    dataset = InpaintingDataset(
        write_pictures(tmp_path, bad=(2, 3)), on_error="skip", shuffle=False, **FLAT
    )
    with (
        pytest.warns(UserWarning, match="Skipped"),
        pytest.raises(
            ImageError, match=r"another `batch_size`.*batch_size=2, .*2\.png.*3\.png"
        ),
    ):
        shown(dataset)
    dataset.batch_size = 4
    assert shown(dataset) == [0, 1]


@pytest.mark.parametrize("share", [0, 1])
def test_a_mask_without_hole_or_rest(share):
    masks = [Image.new("L", (32, 32), 255 * share), hole(32, 0.5)]
    dataset = InpaintingDataset(levels(1, 2), masks, shuffle=False, **FLAT)
    with pytest.raises(ImageError, match=r"Mask 0 must have a hole.*masks\[0\]"):
        dataset[0]
    dataset.on_error = "skip"
    with pytest.warns(UserWarning, match="Skipped: Mask 0"):
        assert dataset[0]["mask"].mean() == pytest.approx(0.5, abs=0.05)


def test_names_are_of_what_is_read_in_place(tmp_path):
    masks = [Image.new("L", (32, 32)), hole(32, 0.25), hole(32, 0.5)]
    folder = write_pictures(tmp_path)
    for shuffle in (False, True):
        dataset = InpaintingDataset(
            folder, masks, shuffle=shuffle, on_error="skip", **FLAT
        )
        with pytest.warns(UserWarning, match="Skipped"):
            items = [dataset.item(place) for place in range(4)]
        for place, item in enumerate(items):
            image, mask = dataset.names(place)
            if item is None:
                assert image == str(tmp_path / "1.png")
                continue
            level = np.rint((item["image"].mean() + 1) * 127.5).astype(int)
            assert image == str(tmp_path / f"{level}.png")
            assert mask == f"masks[{round(item['mask'].mean() * 4)}]"


def test_masks_of_whole_numbers():
    ones = np.zeros((32, 32), "uint8")
    ones[:16] = 1
    kwargs = {"shuffle": False, **FLAT}
    for mask in (ones, ones.astype("int64"), 255 * ones, ones > 0, ones * 1.0):
        item = InpaintingDataset(levels(1), [mask], **kwargs).item(0)
        np.testing.assert_array_equal(item["mask"][..., 0], ones)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"image_size": 0}, "Received: image_size=0"),
        ({"image_size": (1, 2, 3)}, r"Received: image_size=\(1, 2, 3\)"),
        ({"edges": "sharp"}, "Received: edges='sharp'"),
        ({"sigma": 0}, "Received: sigma=0"),
        ({"sigma": 1.0, "edges": None}, "Received: sigma=1.0, edges=None"),
        ({"on_error": "ignore"}, "Received: on_error='ignore'"),
        ({"shard": (2, 2)}, r"Received: shard=\(2, 2\)"),
        ({"steps_per_epoch": 0}, "Received: steps_per_epoch=0"),
        ({"seed": -1, "masks": [hole(32, 0.5)]}, "Received: seed=-1"),
        ({"augment": 3}, "Received: augment=3"),
        ({"batch_size": 3, "drop_remainder": True}, "2 pictures, batch_size=3"),
        ({"shard": (0, 3)}, "on each of the 3 shards"),
        ({"images": []}, r"`images` must hold a picture.*Received: images=\[\]"),
        ({"masks": "/nowhere"}, "Received: masks=/nowhere"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        InpaintingDataset(**{"images": levels(1, 2), **kwargs})
