from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.inpainting import InpaintOptions, NoHoleWarning
from tests.inpainting.common import PHOTO, ConstantModel, random_hole


def test_bad_images_and_masks_are_refused_before_any_work(tmp_path):
    image, mask = PHOTO[:40, :50], random_hole(40, 50, 0)
    (tmp_path / "bad.png").write_text("not an image")
    nan = image / 255.0
    nan[1, 2] = np.nan
    mask[1, 2] = False
    for arguments, message in (
        ((image, mask.T), r"size, 40 x 50 .*Received: mask of 50 x 40"),
        ((image, np.ones((40, 50))), "covers everything"),
        ((nan, mask), r"no NaN.*Received: image\[1, 2\]="),
        ((image.astype("float32"), mask), r"must lie in \[0, 1\]"),
        ((image, nan[..., 0]), "`mask` cannot be read as a mask: .* values from nan"),
        ((tmp_path / "bad.png", mask), "`image` cannot be read"),
        ((tmp_path / "none.png", mask), "must be a file. Received"),
        ((image, tmp_path / "bad.png"), "`mask` cannot be read"),
        (([image, tmp_path / "bad.png"], mask), r"`image\[1\]` cannot be read"),
        (([], mask), "must hold an image"),
        (([image], [mask, mask]), "Received: 2 masks, 1 images"),
        ((image, [mask]), "a single mask for a single image"),
        ((3, mask), "of type int"),
        ((image.astype("int64") + 256, mask), "dtype=int64"),
        ((np.zeros((0, 5)), mask), "must have pixels"),
        ((np.zeros((40, 50, 2)), mask), "shape=.40, 50, 2."),
        ((Image.new("F", (50, 40)), mask), "Received: image.mode='F'"),
        ((Image.new("I", (50, 40), -1), mask), "Received: image.mode='I'"),
    ):
        model = ConstantModel()
        with pytest.raises(ValueError, match=message):
            model.inpaint(*arguments)
        assert not model.sizes
    for options, message in (
        ({"dilate": 99}, "with dilate=99"),
        ({"memory_limit": 1e-3}, "Received: memory_limit=0.001"),
    ):
        with pytest.raises(ValueError, match=message):
            ConstantModel().inpaint(image, mask, **options)
    fixed = ConstantModel(image_shape=(256, 256, 3))
    with pytest.raises(ValueError, match="512 x 512 .*takes 256 x 256"):
        fixed.inpaint(PHOTO, random_hole(512, 512, 0), strategy="full")


def test_inpaint_takes_every_option_and_no_other():
    image, mask = PHOTO[:40, :50], random_hole(40, 50, 0)
    for option in fields(InpaintOptions):
        ConstantModel().inpaint(image, mask, **{option.name: option.default})
    for options, message in (
        ({"strategy": "best"}, "Received: strategy='best'"),
        ({"feather": 65}, "Received: feather=65"),
    ):
        with pytest.raises(ValueError, match=message):
            ConstantModel().inpaint(image, mask, **options)
    with pytest.raises(TypeError, match="dilation"):
        ConstantModel().inpaint(image, mask, dilation=1)


def test_warning_about_a_missing_hole_points_to_the_caller():
    image, mask = PHOTO[:40, :50], np.zeros((40, 50))
    with pytest.warns(NoHoleWarning, match="`mask` has no hole") as caught:
        ConstantModel().inpaint(image, mask)
    assert caught[0].filename == __file__
    with pytest.warns(NoHoleWarning, match=r"`mask\[1\]` has no hole") as caught:
        ConstantModel().inpaint([image, image], [random_hole(40, 50, 0), mask])
    assert caught[0].filename == __file__
