"""Pictures to look at and to keep."""

import numpy as np
from PIL import Image, ImageDraw

from keras_ctsdg.conventions import image_to_levels

GAP = 8
CAPTION = 20


def kept_information(picture):
    """What of a picture's `info` goes into a file: arguments of its `save`."""
    names = ("exif", "icc_profile", "xmp", "dpi", "transparency")
    return {name: picture.info[name] for name in names if picture.info.get(name)}


def to_bytes(pictures):
    """Pictures in [-1, 1] as bytes, uint8 of the same shape."""
    return np.rint(image_to_levels(np.clip(pictures, -1, 1))).astype("uint8")


def before_after(batch, filled):
    """The columns of a sheet that shows what was filled.

    Args:
        batch: Dict of `image` `[B, H, W, 3]` in [-1, 1] and `mask` `[B, H, W, 1]`,
            where 1 marks the hole.
        filled: Float array `[B, H, W, 3]` in [-1, 1].

    Returns:
        Dict of `masked`, `filled` and `truth`, as `draw_sheet` takes it.
    """
    image, mask = np.asarray(batch["image"]), np.asarray(batch["mask"])
    return {"masked": image * (1 - mask), "filled": filled, "truth": image}


def draw_sheet(columns, captions=None):
    """A picture of captioned columns, a row an example.

    Args:
        columns: Dict of the columns' names and their pictures, float arrays
            `[B, H, W, 3]` in [-1, 1].
        captions: List of str, a line above each row. Defaults to `None`.

    Returns:
        `PIL.Image.Image`.
    """
    rows, height, width, _ = next(iter(columns.values())).shape
    above = CAPTION if captions else 0
    sheet = Image.new(
        "RGB",
        (
            len(columns) * (width + GAP) + GAP,
            rows * (above + height + GAP) + CAPTION,
        ),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    for i, (name, pictures) in enumerate(columns.items()):
        left = GAP + i * (width + GAP)
        draw.text((left, 4), name, fill="black")
        for j, picture in enumerate(to_bytes(pictures)):
            top = CAPTION + j * (above + height + GAP) + above
            sheet.paste(Image.fromarray(picture), (left, top))
    for j, caption in enumerate(captions or ()):
        top = CAPTION + j * (above + height + GAP)
        draw.text((GAP, top + 4), caption, fill="black")
    return sheet
