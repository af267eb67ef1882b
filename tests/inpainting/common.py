"""A stand-in for the network, pictures of all kinds, and holes."""

import numpy as np
from PIL import Image
from skimage import data

from keras_ctsdg.data import RandomIrregularMasks
from keras_ctsdg.models._input_checks import check_inputs, check_mask_range

PHOTO = data.astronaut()
MODES = "1 L LA P PA RGB RGBA CMYK YCbCr HSV I;16 I".split()
TYPES = ("uint8", "uint16", "float32", "float64")


class StandIn:
    """Fills with one color, where what the network makes of it is not the point."""

    edges = "clean"
    sigma = 2.0
    generator = type("Any", (), {"image_shape": (None, None, 3), "filters": 8})

    def __init__(self, color=(0.8, -0.7, 0.1)):
        self.color = np.float32(color)
        self.sizes = []

    def predict_on_batch(self, batch):
        check_inputs(batch)
        check_mask_range(batch["mask"])
        assert all(np.isfinite(x).all() for x in batch.values())
        assert np.abs(batch["image"]).max() <= 1
        self.sizes.append(batch["image"].shape[1:3])
        return np.where(batch["mask"] > 0, self.color, batch["image"])


def some_hole(height, width, seed):
    mask = RandomIrregularMasks((0.02, 0.4), seed)(0, (height, width))[..., 0] > 0
    mask[0, 0], mask[-1, -1] = True, False
    return mask


def as_mode(levels, mode):
    picture = Image.fromarray(levels)
    if mode.startswith("I"):
        gray = Image.fromarray(np.asarray(picture.convert("L")).astype("uint16") * 257)
        return gray if mode == "I;16" else gray.convert("I")
    if mode == "PA":
        return picture.convert("P").convert("PA")
    picture = picture.quantize(50) if mode == "P" else picture.convert(mode)
    if mode in ("LA", "RGBA"):
        alpha = np.asarray(picture.convert("L"))
        picture.putalpha(Image.fromarray(alpha))
    return picture


def as_type(levels, dtype):
    if dtype == "uint8":
        return levels
    top = 65535 if dtype == "uint16" else 1
    return (levels / 255 * top).astype(dtype)


def photo_and_holes():
    """4032 x 3024 with three holes: one small, one large, and a scratch."""
    hole = np.zeros((3024, 4032), bool)
    hole[100:180, 200:330] = True
    hole[1500:2500, 2000:2900] = True
    for i in range(2000):
        hole[400 + i // 2, 300 + i : 306 + i] = True
    return np.resize(PHOTO, (3024, 4032, 3)), hole
