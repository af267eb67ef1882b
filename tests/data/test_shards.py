"""Batches that several processes share."""

import pytest
from PIL import Image

from keras_ctsdg.data import InpaintingDataset
from tests.data.common import noise_images

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("images", [3, 7, 8, 12])
def test_shards_make_up_the_batches_of_one_process(images, count, shuffle):
    kwargs = {"images": noise_images(images, side=16), "image_size": 16, "seed": 3}
    kwargs |= {"shuffle": shuffle}
    whole = InpaintingDataset(**kwargs, batch_size=2 * count)
    shards = [
        InpaintingDataset(**kwargs, batch_size=2, shard=(rank, count))
        for rank in range(count)
    ]
    assert {len(shard) for shard in shards} == {len(whole)}
    for index in range(len(whole)):
        parts = [shard[index] for shard in shards]
        assert len({(part["image"].shape, len(part)) for part in parts}) == 1
        images = [row for part in parts for row in used_samples(part)]
        expected = list(whole[index]["image"])
        assert sorted(map(bytes, images)) == sorted(map(bytes, expected))


def used_samples(part):
    return part["image"][part["sample_weight"] > 0]


def test_all_batches_of_shards_have_weights():
    images = noise_images(7, side=16)
    shard = InpaintingDataset(images, batch_size=2, image_size=16, shard=(1, 2))
    assert [batch["sample_weight"].tolist() for batch in shard] == [[1, 1], [1, 0]]


def test_a_shard_replaces_what_it_skips_by_a_sample_of_no_weight(tmp_path):
    good = [tmp_path / f"{i}.png" for i in range(3)]
    for path, image in zip(good, noise_images(3, side=16), strict=True):
        Image.fromarray(image).save(path)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    with pytest.warns(UserWarning, match="bad.png"):
        shard = InpaintingDataset(
            [bad, good[0], good[1], good[2]],
            batch_size=2,
            image_size=16,
            shuffle=False,
            on_error="skip",
            shard=(0, 2),
        )
        batch = shard[0]
    assert batch["sample_weight"].tolist() == [1, 0]
