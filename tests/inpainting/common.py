"""A stand-in for the network, images of all kinds, and holes."""

import numpy as np
from PIL import Image
from skimage import data

import keras_ctsdg
from keras_ctsdg.data import RandomIrregularMasks
from keras_ctsdg.models import Generator
from keras_ctsdg.models._input_checks import check_inputs
from keras_ctsdg.models._value_checks import check_values

PHOTO = data.astronaut()
MODES = "1 L LA P PA RGB RGBA CMYK YCbCr HSV I;16 I".split()
DTYPES = ("uint8", "uint16", "float32", "float64")
# The color of `ConstantModel` in 8 bits.
FILL_COLOR = [230, 38, 140]


class StubGenerator:
    """What `inpaint` asks a generator, without the network."""

    estimate_memory = Generator.estimate_memory
    variables = ()

    def __init__(self, filters=8, image_shape=(None, None, 3)):
        self.filters = filters
        self.image_shape = image_shape


class ConstantModel:
    """Fills holes with one color and records the sizes of its inputs."""

    edges = "clean"
    sigma = 2.0
    inpaint = keras_ctsdg.CTSDG.inpaint

    def __init__(self, color=(0.8, -0.7, 0.1), image_shape=(None, None, 3)):
        self.color = np.float32(color)
        self.generator = StubGenerator(image_shape=image_shape)
        self.sizes = []

    def predict_on_batch(self, batch):
        check_inputs(batch)
        check_values(batch, tuple(batch))
        self.sizes += [batch["image"].shape[1:3]] * len(batch["image"])
        return np.where(batch["mask"] > 0, self.color, batch["image"])


def random_hole(height, width, seed):
    """A bool array `[height, width]` with at least one true and one false pixel."""
    mask = RandomIrregularMasks((0.02, 0.4), seed)(0, (height, width))[..., 0] > 0
    mask[0, 0], mask[-1, -1] = True, False
    return mask


def to_mode(levels, mode):
    """Convert uint8 RGB levels to a PIL image of any mode."""
    image = Image.fromarray(levels)
    if mode.startswith("I"):
        gray = Image.fromarray(np.asarray(image.convert("L")).astype("uint16") * 257)
        return gray if mode == "I;16" else gray.convert("I")
    if mode == "PA":
        return image.convert("P").convert("PA")
    image = image.quantize(50) if mode == "P" else image.convert(mode)
    if mode in ("LA", "RGBA"):
        alpha = np.asarray(image.convert("L"))
        image.putalpha(Image.fromarray(alpha))
    return image


def to_dtype(levels, dtype):
    """Convert uint8 levels to the full range of another dtype."""
    if dtype == "uint8":
        return levels
    top = 65535 if dtype == "uint16" else 1
    return (levels / 255 * top).astype(dtype)


def large_photo_and_holes():
    """4032 x 3024 with three holes: a small one, a large one, and a scratch."""
    hole = np.zeros((3024, 4032), bool)
    hole[100:180, 200:330] = True
    hole[1500:2500, 2000:2900] = True
    for i in range(2000):
        hole[400 + i // 2, 300 + i : 306 + i] = True
    return np.resize(PHOTO, (3024, 4032, 3)), hole
