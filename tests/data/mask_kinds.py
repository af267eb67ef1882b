"""Masks of all kinds by name, and what each of them means."""

from io import BytesIO

import numpy as np
from PIL import Image

from tests.data.common import photo

SIZE = 64, 48
HOLE = np.zeros(SIZE[::-1], bool)
HOLE[8:20, 10:50] = True
HOLE[30:32, 4:60] = True
BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)


def paint(mark, ground, dtype="uint8"):
    """Return an array with one value or color in the hole and another elsewhere."""
    hole = HOLE if np.ndim(mark) == 0 else HOLE[..., None]
    return np.where(hole, np.array(mark), np.array(ground)).astype(dtype)


def jpeg(array, quality=75):
    """Return an array as a JPEG, opened."""
    file = BytesIO()
    Image.fromarray(array).save(file, "JPEG", quality=quality)
    return Image.open(file)


def smooth(array):
    """Return an array as an image whose marks have smooth rims."""
    large = Image.fromarray(array).resize((256, 192), Image.Resampling.NEAREST)
    return large.resize(SIZE, Image.Resampling.LANCZOS)


def with_alpha(colors, alpha):
    return np.dstack([np.broadcast_to(colors, (*HOLE.shape, 3)), alpha]).astype("uint8")


def palette(mark, ground):
    image = Image.fromarray(paint(1, 0)).convert("L")
    image = Image.frombytes("P", SIZE, image.tobytes())
    image.putpalette([*ground, *mark])
    return image


def pixels(*colors):
    """Return a red mark on black, with single pixels of further colors."""
    array = paint(RED, BLACK)
    array[0, : len(colors)] = colors
    return array


IN_HOLE, AROUND = paint(255, 0), paint(0, 255)
PHOTO = np.asarray(photo(SIZE))
INTEGERS = "int8 uint8 int16 uint16 int32 uint32 int64 uint64".split()
MARKED = {
    **{f"{x} 0 1": paint(1, 0, x) for x in (*INTEGERS, "bool", "float16", "float64")},
    **{f"{x} 0 255": paint(255, 0, x) for x in (*INTEGERS[1:], "float32")},
    "soft floats": paint(0.6, 0.2, "float32"),
    "low floats": paint(0.3, 0, "float32"),
    "16 bits": paint(65535, 0, "uint16"),
    "ids": paint(70_000, 3, "int64"),
    "0 76": paint(76, 0),
    "10 240": paint(240, 10),
    "200 255": paint(255, 200),
    "jpeg": jpeg(paint(255, 0)),
    "jpeg 0 76": jpeg(paint(76, 0)),
    "jpeg 0 128": jpeg(paint(128, 0)),
    "jpeg 10 240": jpeg(paint(240, 10), 30),
    "smooth 0 120": smooth(paint(120, 0)),
    "file of 0 1": Image.fromarray(paint(1, 0)),
    "file of 1 bit": Image.fromarray(HOLE),
    "file of 16 bits, 0 1": Image.fromarray(paint(1, 0, "uint16")),
    "file of 16 bits": Image.fromarray(paint(65535, 0, "uint16")),
    "file of floats": Image.fromarray(paint(1, 0, "float32")),
    "rgb": paint(WHITE, BLACK),
    "rgb 0 1": paint((1, 1, 1), BLACK, "int64"),
    "rgb floats": paint((1, 1, 1), BLACK, "float32"),
    "cmyk": Image.fromarray(paint(WHITE, BLACK)).convert("CMYK"),
    "red": paint(RED, BLACK),
    "red floats": paint((1, 0, 0), BLACK, "float32"),
    "red on gray": paint(RED, (76, 76, 76)),
    "red jpeg": jpeg(paint(RED, BLACK), 95),
    "red with smooth rims": smooth(paint(RED, BLACK)),
    "label": paint((128, 0, 0), BLACK),
    "dark label": paint((0, 0, 64), BLACK),
    "yellow on blue": paint((255, 255, 0), (0, 0, 255)),
    "palette": palette((128, 0, 0), BLACK),
    "white strokes": with_alpha(paint(WHITE, BLACK), IN_HOLE),
    "white layer": with_alpha(WHITE, IN_HOLE),
    "red layer": with_alpha(RED, IN_HOLE),
    "faint layer": with_alpha(WHITE, paint(100, 0)),
    "white and black, partly transparent": with_alpha(
        paint(WHITE, BLACK), np.where(np.arange(48)[:, None] < 40, 255, 0) + 0 * IN_HOLE
    ),
    "photo with a transparent hole": with_alpha(PHOTO, AROUND),
    "gray photo with a transparent hole": Image.fromarray(
        np.dstack([PHOTO[..., 1], AROUND]), "LA"
    ),
    "half opaque everywhere": with_alpha(paint(WHITE, BLACK), AROUND * 0 + 128),
}
NO_HOLE = {
    "zeros": paint(0, 0),
    "false": paint(False, False, "bool"),
    "black": Image.new("RGB", SIZE),
    "opaque black": Image.new("RGBA", SIZE, "black"),
}
ALL_HOLE = {
    "ones": paint(1, 1),
    "true": paint(True, True, "bool"),
    "white": Image.new("L", SIZE, 255),
}
REFUSED = {
    "labels": (np.maximum(paint(1, 0), np.eye(48, 64) * 2).astype("uint8"), "0, 1, 2 "),
    "1 2": (paint(2, 1), "the levels 1 and 2"),
    "254 255": (paint(255, 254), "the levels 254 and 255"),
    "one gray": (paint(100, 100), "the levels 100 of 255"),
    "dark and soft": (np.tile(np.arange(64, dtype="uint8"), (48, 1)), "0, 1, 2, ..."),
    "negative": (paint(1, -1, "int64"), "values from -1 to 1"),
    "nan": (paint(np.nan, 0, "float32"), "values from nan to nan"),
    "floats to 300": (np.linspace(0, 300, 3072).reshape(48, 64), "values up to 300.0"),
    "red on white": (paint(RED, WHITE), "#ffffff, #ff0000"),
    "red on green": (paint(RED, (0, 255, 0)), "#00ff00, #ff0000"),
    "labels in color": (pixels((0, 128, 0)), "#000000, #ff0000, #008000"),
    "labels of one hue": (pixels((128, 0, 0)), "#000000, #ff0000, #800000"),
    "red everywhere": (paint(RED, RED), "the colors #ff0000"),
    "photo": (PHOTO, "the colors #"),
    "black layer": (with_alpha(BLACK, IN_HOLE), "transparent .*#000000"),
    "erased from white": (
        with_alpha(WHITE, AROUND),
        "transparent .*#ffffff",
    ),
    "erased from black": (
        with_alpha(BLACK, AROUND),
        "transparent .*#000000",
    ),
    "strokes of a photo": (with_alpha(PHOTO, IN_HOLE), "transparent .*#"),
    "transparent": (with_alpha(WHITE, 0 * IN_HOLE), "transparent pixels only"),
}
