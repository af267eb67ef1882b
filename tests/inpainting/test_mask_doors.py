"""A mask means the same wherever it is passed."""

import warnings
from io import BytesIO

import keras
import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.demo.fill import fill
from keras_ctsdg.inpainting import InpaintOptions, NoHoleWarning
from keras_ctsdg.inpainting.batch import InpaintBatch
from tests.data.mask_kinds import ALL_HOLE, HOLE, MARKED, NO_HOLE, REFUSED
from tests.inpainting.common import ConstantModel

pytestmark = pytest.mark.backend_independent

IMAGE = np.zeros((*HOLE.shape, 3), "uint8")
KINDS = {
    **{name: (MARKED[name], "hole") for name in (
        *("uint8 0 1", "bool 0 1", "0 76", "jpeg 0 76", "file of 16 bits, 0 1"),
        *("red", "palette", "white strokes", "photo with a transparent hole"),
    )},
    **{name: (NO_HOLE[name], "none") for name in ("zeros", "opaque black")},
    **{name: (ALL_HOLE[name], "all") for name in ("ones", "white")},
    **{name: (REFUSED[name][0], "refused") for name in (
        *("labels", "1 2", "red on white", "photo", "black layer", "transparent"),
    )},
}  # fmt: skip


def meaning(filled):
    changed = np.asarray(filled).any(axis=-1)
    assert not changed.any() or (changed == HOLE).all()
    return "hole" if changed.any() else "none"


def meaning_of_error(error):
    if "mark them in white, on black. It has" in str(error):
        return "refused"
    assert "uncovered" in str(error), error
    return "all"


def through_inpaint(image, mask):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", NoHoleWarning)
            return meaning(ConstantModel().inpaint(image, mask))
    except NoHoleWarning:
        return "none"
    except ValueError as error:
        return meaning_of_error(error)


def through_batch(folder):
    batch = InpaintBatch(folder / "image.png", folder / "mask.png", folder / "o.png")
    batch.run(ConstantModel(), InpaintOptions())
    report = batch.report
    assert len(report.filled) + len(report.unchanged) + len(report.failed) == 1
    for reason in report.failed.values():
        assert not (folder / "o.png").exists()
        return meaning_of_error(reason)
    found = meaning(Image.open(folder / "o.png"))
    assert (found == "none") == bool(report.unchanged)
    return found


def through_demo(folder):
    try:
        files = folder / "image.png", None, folder / "mask.png"
        return meaning(fill(ConstantModel(), *files).image)
    except ValueError as error:
        return "none" if "no hole yet" in str(error) else meaning_of_error(error)


def through_dataset(masks):
    kwargs = {"image_size": HOLE.shape, "shuffle": False, "edges": None}
    try:
        batch = InpaintingDataset([IMAGE], masks, batch_size=1, **kwargs)[0]
    except ValueError as error:
        if "must have both white pixels" in str(error):
            return "none" if "from 0 to 0" in str(error) else "all"
        return meaning_of_error(error)
    np.testing.assert_array_equal(batch["mask"][0, ..., 0], HOLE)
    return "hole"


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_means_the_same_everywhere(kind, tmp_path):
    mask, expected = KINDS[kind]
    image = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
    image.save(tmp_path / "mask.png")
    Image.fromarray(IMAGE).save(tmp_path / "image.png")
    content = (tmp_path / "mask.png").read_bytes()
    for form in (mask, image, str(tmp_path / "mask.png"), content, BytesIO(content)):
        assert through_inpaint(IMAGE, form) == expected
        assert through_dataset([form]) == expected
    assert through_inpaint([IMAGE], [mask]) in (expected, "hole")
    assert through_dataset(tmp_path / "mask.png") == expected
    assert through_batch(tmp_path) == expected
    assert through_demo(tmp_path) == expected


def test_masks_in_lists_and_batches():
    batch, wide = np.stack([IMAGE, IMAGE]), HOLE.astype("int64")
    for masks in (
        np.stack([wide, wide]),
        np.stack([wide, wide])[:, None],
        np.stack([wide, wide])[..., None],
        [wide, Image.fromarray(HOLE)],
        [wide.tolist(), wide[None]],
        wide,
        wide[None, ..., None],
        wide.tolist(),
        keras.ops.convert_to_tensor(wide),
    ):
        for filled in ConstantModel().inpaint(batch, masks):
            assert meaning(filled) == "hole"


def test_level_that_no_pixel_reaches_is_no_copy():
    mask = np.tile(np.linspace(0, 0.8, 64), (48, 1))
    with pytest.raises(ValueError, match="must reach `threshold`.*at most 204 of 255"):
        ConstantModel().inpaint(IMAGE, mask, threshold=0.9)


def test_black_that_marks_the_hole():
    for name in ("uint8 0 1", "red"):
        with pytest.raises(ValueError, match="uncovered"):
            ConstantModel().inpaint(IMAGE, MARKED[name] * 0, invert_mask=True)
    inverted = ConstantModel().inpaint(IMAGE, 1 - MARKED["int64 0 1"], invert_mask=True)
    assert meaning(inverted) == "hole"
