import pickle
import warnings

import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.data.images import ImageError
from tests.data.common import (
    SMALL,
    gray_images,
    hole_mask,
    read_arrays_with_workers,
    read_levels,
)


def write_images(folder, bad=(1,)):
    for i in range(4):
        path = folder / f"{i}.png"
        if i in bad:
            path.write_text("not an image")
        else:
            Image.fromarray(gray_images(i)[0]).save(path)
    return folder


def test_bad_image_is_named(tmp_path):
    dataset = InpaintingDataset(write_images(tmp_path), shuffle=False, **SMALL)
    with pytest.raises(ImageError, match=r"Image 1 of `images`.*Received: .*1\.png"):
        dataset[0]


def test_training_replaces_skipped_images(tmp_path):
    dataset = InpaintingDataset(write_images(tmp_path), on_error="skip", **SMALL)
    with pytest.warns(UserWarning, match="Skipped: Image 1") as caught:
        seen = read_levels(dataset) + read_levels(dataset)
    assert len(caught) == 1
    assert len(seen) == 8
    assert set(seen) == {0, 2, 3}
    assert list(dataset.skipped) == [str(tmp_path / "1.png")]


def test_evaluation_leaves_skipped_images_out(tmp_path):
    dataset = InpaintingDataset(
        write_images(tmp_path), on_error="skip", shuffle=False, **SMALL
    )
    with pytest.warns(UserWarning, match="Skipped"):
        assert read_levels(dataset) == [0, 2, 3]
    assert dataset.sample(1) is None


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.filterwarnings("ignore:.*fork:")
def test_workers_report_skipped_images(tmp_path, processes):
    dataset = InpaintingDataset(
        write_images(tmp_path),
        on_error="skip",
        workers=2,
        use_multiprocessing=processes,
        **SMALL,
    )
    copied = pickle.loads(pickle.dumps(dataset))
    with pytest.warns(UserWarning, match="Skipped: Image 1") as caught:
        read_arrays_with_workers(dataset)
    assert sum("Skipped" in str(w.message) for w in caught) == 1
    assert list(dataset.skipped) == [str(tmp_path / "1.png")]
    assert copied.skipped == {}


@pytest.mark.filterwarnings("ignore:.*fork:")
def test_workers_continue_where_warnings_are_errors(tmp_path):
    dataset = InpaintingDataset(
        write_images(tmp_path),
        on_error="skip",
        workers=2,
        use_multiprocessing=True,
        **SMALL,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Skipped")
        assert read_arrays_with_workers(dataset)
    assert list(dataset.skipped) == [str(tmp_path / "1.png")]


def test_no_usable_image(tmp_path):
    folder = write_images(tmp_path, bad=range(4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for shuffle in (True, False):
            dataset = InpaintingDataset(
                folder, on_error="skip", shuffle=shuffle, **SMALL
            )
            with pytest.raises(ImageError, match="can be used"):
                dataset[0]


def test_batch_without_usable_image_says_what_to_do(tmp_path):
    dataset = InpaintingDataset(
        write_images(tmp_path, bad=(2, 3)), on_error="skip", shuffle=False, **SMALL
    )
    with (
        pytest.warns(UserWarning, match="Skipped"),
        pytest.raises(
            ImageError, match=r"another `batch_size`.*batch_size=2, .*2\.png.*3\.png"
        ),
    ):
        read_levels(dataset)
    dataset.batch_size = 4
    assert read_levels(dataset) == [0, 1]


@pytest.mark.parametrize("mask_ratio", [0, 1])
def test_mask_without_hole_and_all_hole(mask_ratio):
    masks = [Image.new("L", (32, 32), 255 * mask_ratio), hole_mask(32, 0.5)]
    dataset = InpaintingDataset(gray_images(1, 2), masks, shuffle=False, **SMALL)
    with pytest.raises(
        ImageError, match=r"Mask 0 must have both white pixels.*masks\[0\]"
    ):
        dataset[0]
    dataset.on_error = "skip"
    with pytest.warns(UserWarning, match="Skipped: Mask 0"):
        assert dataset[0]["mask"].mean() == pytest.approx(0.5, abs=0.05)


def test_source_names_are_of_the_replacements(tmp_path):
    masks = [Image.new("L", (32, 32)), hole_mask(32, 0.25), hole_mask(32, 0.5)]
    folder = write_images(tmp_path)
    for shuffle in (False, True):
        dataset = InpaintingDataset(
            folder, masks, shuffle=shuffle, on_error="skip", **SMALL
        )
        with pytest.warns(UserWarning, match="Skipped"):
            samples = [dataset.sample(i) for i in range(4)]
        for i, sample in enumerate(samples):
            image, mask = dataset.source_names(i)
            if sample is None:
                assert image == str(tmp_path / "1.png")
                continue
            level = np.rint((sample["image"].mean() + 1) * 127.5).astype(int)
            assert image == str(tmp_path / f"{level}.png")
            assert mask == f"masks[{round(sample['mask'].mean() * 4)}]"


def test_masks_of_any_dtype():
    ones = np.zeros((32, 32), "uint8")
    ones[:16] = 1
    kwargs = {"shuffle": False, **SMALL}
    for mask in (ones, ones.astype("int64"), 255 * ones, ones > 0, ones * 1.0):
        sample = InpaintingDataset(gray_images(1), [mask], **kwargs).sample(0)
        np.testing.assert_array_equal(sample["mask"][..., 0], ones)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"image_size": 0}, "Received: image_size=0"),
        ({"image_size": (1, 2, 3)}, r"Received: image_size=\(1, 2, 3\)"),
        ({"edges": "sharp"}, "Received: edges='sharp'"),
        ({"sigma": 0}, "Received: sigma=0"),
        ({"sigma": 1.0, "edges": None}, "Received: sigma=1.0, edges=None"),
        (
            {"crop": "diagonal"},
            '`crop` must be one of "center", "random", None. Received: crop=',
        ),
        ({"on_error": "ignore"}, "Received: on_error='ignore'"),
        ({"shard": (2, 2)}, r"Received: shard=\(2, 2\)"),
        ({"steps_per_epoch": 0}, "Received: steps_per_epoch=0"),
        ({"seed": -1, "masks": [hole_mask(32, 0.5)]}, "Received: seed=-1"),
        ({"augment": 3}, "Received: augment=3"),
        ({"batch_size": 3, "drop_remainder": True}, "2 images, batch_size=3"),
        ({"shard": (0, 3)}, "on each of the 3 shards"),
        ({"images": []}, r"`images` must contain an image.*Received: images=\[\]"),
        ({"masks": "/nowhere"}, "Received: masks=/nowhere"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        InpaintingDataset(**{"images": gray_images(1, 2), **kwargs})
