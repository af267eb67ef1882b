"""Draw the first image of the README: a photo, a mask and the photo filled.

`python docs/draw_example.py` writes `docs/example.jpg` anew. The photo is `coffee` of
scikit-image, which the preset `demo` was not trained on.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage import data

import keras_ctsdg

OUT = Path(__file__).parent / "example.jpg"
WIDTH, GAP = 400, 6


def draw_mask(size):
    """Return a mask of scratches, a stain and a stamp, white where they are."""
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for line in ((20, 60, 260, 30, 400, 110), (90, 390, 150, 200, 130, 90)):
        draw.line(line, fill=255, width=5, joint="curve")
    draw.line((430, 20, 590, 330), fill=255, width=3)
    draw.ellipse((505, 60, 535, 84), fill=255)
    font = ImageFont.load_default(30)
    draw.text((380, 350), "2021-10-11", fill=255, font=font, stroke_width=1)
    # No gray rims: what is white is filled, and nothing else is damaged.
    return mask.point(lambda level: 255 * (level > 0))


def draw_example():
    """Return damaged photo, mask and filled photo side by side."""
    photo = Image.fromarray(data.coffee())
    mask = draw_mask(photo.size)
    damaged = photo.copy()
    damaged.paste((255, 250, 235), mask=mask)
    filled = keras_ctsdg.from_preset("demo").inpaint(damaged, mask)
    parts = [image.convert("RGB") for image in (damaged, mask, filled)]
    height = round(WIDTH * photo.height / photo.width)
    sheet = np.full((height, 3 * WIDTH + 2 * GAP, 3), 255, "uint8")
    for index, part in enumerate(parts):
        left = index * (WIDTH + GAP)
        small = part.resize((WIDTH, height), Image.Resampling.LANCZOS)
        sheet[:, left : left + WIDTH] = np.asarray(small)
    return Image.fromarray(sheet)


if __name__ == "__main__":
    draw_example().save(OUT, quality=88, optimize=True)
