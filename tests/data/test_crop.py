import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.data.crop import center_box, random_box
from tests.data.common import photo

pytestmark = pytest.mark.backend_independent

SIZE = st.tuples(st.integers(1, 400), st.integers(1, 400))


class FixedRng:
    """Random numbers at a given position in their range."""

    def __init__(self, position):
        self.position = position

    def uniform(self, low, high):
        return low + self.position * (high - low)

    def integers(self, stop):
        return round(self.position * (stop - 1))


@pytest.mark.parametrize(
    ("position", "box"),
    [
        # The smallest box, of the target's own size, in the upper left corner.
        (0, (0, 0, 60, 30)),
        # The largest box is 160 x 80, so that the middle one is 110 x 55.
        (0.5, (45, 12, 155, 67)),
        (1, (40, 0, 200, 80)),
    ],
)
def test_random_box_by_hand(position, box):
    assert random_box((200, 80), (60, 30), FixedRng(position)) == box


def test_center_box_by_hand():
    assert center_box((200, 80), (60, 30)) == (20, 0, 180, 80)
    assert center_box((178, 218), (256, 256)) == (0, 20, 178, 198)


@given(size=SIZE, target=SIZE, seed=st.integers(0, 99))
def test_random_box_is_inside_the_image_and_keeps_the_aspect(size, target, seed):
    left, top, right, bottom = random_box(size, target, np.random.default_rng(seed))
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    # To a pixel, by which each side may be rounded.
    width, height = right - left, bottom - top
    assert abs(width - height * target[0] / target[1]) <= 1 + target[0] / target[1]
    largest = center_box(size, target)
    largest = largest[2] - largest[0], largest[3] - largest[1]
    assert width <= largest[0]
    assert height <= largest[1]
    if size[0] < target[0] or size[1] < target[1]:
        assert (width, height) == largest
    else:
        assert width >= target[0]
        assert height >= target[1]


def test_random_boxes_cover_all_scales_and_positions():
    rng = np.random.default_rng(0)
    boxes = np.array([random_box((300, 200), (100, 100), rng) for _ in range(400)])
    left, top, right, bottom = boxes.T
    sides = right - left
    assert abs(sides.mean() - 150) < 5
    assert sides.min() < 105
    assert sides.max() > 195
    assert left.min() == top.min() == 0
    assert right.max() == 300
    assert bottom.max() == 200


def test_center_crop_and_stretching():
    image = np.zeros((40, 100, 3), "uint8")
    image[:, 30:70] = 255
    cropped = InpaintingDataset([image], image_size=32)[0]["image"]
    assert (cropped == 1).all()
    stretched = InpaintingDataset([image], image_size=32, crop=None)[0]
    assert stretched["image"].min() == -1


def random_crops(images, count=6, **kwargs):
    return InpaintingDataset(
        images,
        image_size=32,
        batch_size=count,
        steps_per_epoch=1,
        crop="random",
        edges=None,
        **kwargs,
    )


def test_random_crops_of_full_height_are_parts_of_the_image():
    image = np.asarray(photo((300, 32)))
    starts = []
    for crop in random_crops([image])[0]["image"]:
        levels = np.rint((crop + 1) * 127.5)
        differences = [np.abs(levels - image[:, i : i + 32]).max() for i in range(269)]
        assert min(differences) == 0
        starts.append(np.argmin(differences))
    assert len(set(starts)) > 1


@pytest.mark.parametrize("shuffle", [True, False])
def test_random_crop_depends_on_seed_epoch_and_index(shuffle):
    dataset = random_crops([photo((90, 70))], shuffle=shuffle)
    first = dataset[0]["image"]
    assert len({image.tobytes() for image in first}) == len(first)
    np.testing.assert_array_equal(dataset[0]["image"], first)
    dataset.on_epoch_end()
    assert all((dataset[0]["image"] != first).any(axis=(1, 2, 3)))
    other = random_crops([photo((90, 70))], shuffle=shuffle, seed=1)
    assert all((other[0]["image"] != first).any(axis=(1, 2, 3)))
    resumed = random_crops([photo((90, 70))], shuffle=shuffle)
    resumed.epoch = 1
    np.testing.assert_array_equal(resumed[0]["image"], dataset[0]["image"])


def test_random_crop_uses_the_full_resolution_of_a_jpeg(tmp_path):
    """A JPEG of 16 times the size, which is decoded small for a center crop."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), "uint8")
    Image.fromarray(noise).save(tmp_path / "x.jpg")
    with Image.open(tmp_path / "x.jpg") as image:
        decoded = image.convert("RGB")
    for x, y in zip(
        random_crops(tmp_path)[0]["image"],
        random_crops([decoded])[0]["image"],
        strict=True,
    ):
        np.testing.assert_array_equal(x, y)


def test_random_crop_of_a_small_image_is_the_largest_box():
    image = photo((30, 20))
    crops = random_crops([image])[0]["image"]
    left = [image.crop((i, 0, i + 20, 20)) for i in range(11)]
    expected = [np.asarray(x.resize((32, 32), Image.Resampling.BILINEAR)) for x in left]
    for crop in np.rint((crops + 1) * 127.5):
        assert any((crop == x).all() for x in expected)
