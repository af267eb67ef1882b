"""Images and masks as people have them at hand."""

from io import BytesIO, StringIO

import keras
import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.data import InpaintingDataset
from tests.data.common import SMALL, hole_mask
from tests.inpainting.common import FILL_COLOR, PHOTO, ConstantModel, random_hole

IMAGE, HOLE = PHOTO[:40, :50], random_hole(40, 50, 0)
FILLED = np.where(HOLE[..., None], np.array(FILL_COLOR, "uint8"), IMAGE)


def to_png(array):
    file = BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file


def closed_file():
    file = BytesIO()
    file.close()
    return file


def tensor(array):
    return keras.ops.convert_to_tensor(array)


@pytest.mark.parametrize(
    "convert",
    [
        to_png,
        lambda x: to_png(x).getvalue(),
        lambda x: bytearray(to_png(x).getvalue()),
        lambda x: x.astype("int64"),
        lambda x: x.astype("int16"),
        lambda x: x.tolist(),
        tensor,
    ],
    ids="BytesIO bytes bytearray int64 int16 list tensor".split(),
)
def test_other_kinds_mean_the_same(convert):
    mask = HOLE.astype("uint8") * 255
    found = ConstantModel().inpaint(convert(IMAGE), convert(mask))
    assert isinstance(found, (np.ndarray, Image.Image))
    np.testing.assert_array_equal(np.asarray(found), FILLED)
    if isinstance(found, np.ndarray):
        assert found.dtype == np.asarray(convert(IMAGE)).dtype
    found = ConstantModel().inpaint([convert(IMAGE)] * 2, [convert(mask)] * 2)
    np.testing.assert_array_equal(np.stack(found), np.stack([FILLED] * 2))
    dataset = InpaintingDataset([convert(IMAGE)], [convert(mask)], **SMALL)
    expected = InpaintingDataset([IMAGE], [mask], **SMALL)
    for key, value in expected[0].items():
        np.testing.assert_array_equal(dataset[0][key], value)


def test_tensor_that_needs_a_gradient_or_has_few_bits():
    variable = keras.Variable(IMAGE / 255.0)
    found = ConstantModel().inpaint(variable.value, tensor(HOLE))
    np.testing.assert_allclose(found, FILLED / 255, atol=0.01)
    few = keras.ops.cast(IMAGE / 255.0, "bfloat16")
    found = ConstantModel().inpaint(few, keras.ops.cast(HOLE, "bfloat16"))
    np.testing.assert_allclose(found, FILLED / 255, atol=0.01)


@pytest.mark.backend_independent
def test_single_images_as_sources_of_a_data_set():
    mask = hole_mask(32, 0.5)
    for images in (IMAGE, Image.fromarray(IMAGE), to_png(IMAGE), IMAGE[None]):
        dataset = InpaintingDataset(images, mask, **SMALL)
        assert (len(dataset.images), len(dataset.masks)) == (1, 1)
        assert dataset[0]["image"].shape == (1, 32, 32, 3)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (IMAGE.transpose(2, 0, 1), r"looks like \[C, H, W\]"),
        (IMAGE[..., 0][None], r"looks like \[C, H, W\]"),
        (IMAGE.transpose(2, 0, 1).tolist(), r"looks like \[C, H, W\]"),
        (IMAGE.transpose(2, 0, 1)[None], r"looks like \[C, H, W\]"),
        ([[1, 2], [3]], "must be an array of numbers"),
        (np.array(["a", "b"]), "dtype=<U1"),
        (np.array([None]), "dtype=object"),
        (IMAGE.astype("int64") - 1, "dtype=int64"),
        (b"content", "cannot identify image file"),
        (b"", "it is empty"),
        (open, "of type builtin"),
        ("photos/*.jpg", "a pattern; pass the list of files"),
        (b"PK\3\4" + bytes(30), "it is a zip"),
        (StringIO("text"), "open in binary mode"),
        (closed_file(), "a file that can be read"),
        (None, "of type NoneType"),
        ({"image": IMAGE}, "of type dict"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(image, message):
    with pytest.raises(ValueError, match=f"`image.*{message}") as caught:
        ConstantModel().inpaint(image, HOLE)
    assert len(str(caught.value)) < 400
    with pytest.raises(ValueError, match="`images"):
        InpaintingDataset(image, **SMALL)[0]


@pytest.mark.backend_independent
def test_channels_first_masks_are_named():
    mask = np.repeat(HOLE[None], 3, axis=0)
    with pytest.raises(ValueError, match=r"`mask` must .*looks like \[C, H, W\]"):
        ConstantModel().inpaint(IMAGE, mask)
    with pytest.raises(ValueError, match=r"`masks\[0\]` must .*\[C, H, W\]"):
        InpaintingDataset([IMAGE], [mask], **SMALL)
    with pytest.raises(ValueError, match="`masks` must be a path, .*of type int"):
        InpaintingDataset([IMAGE], 5, **SMALL)
