"""Draw grids of images to look at."""

import numpy as np
from PIL import Image, ImageDraw

from keras_ctsdg.conventions import image_to_levels

# In pixels: the space between images, and the height of a line of text.
GAP = 8
CAPTION = 20


def image_to_uint8(image):
    """Convert an image or a batch in [-1, 1] to uint8 levels of the same shape.

    Args:
        image: Float array; values beyond [-1, 1] are clipped.

    Returns:
        Uint8 array.
    """
    return np.rint(image_to_levels(np.clip(image, -1, 1))).astype("uint8")


def comparison_columns(batch, filled):
    """Return the columns of a grid that compares filled images with their targets.

    Args:
        batch: Dict of `image` `[B, H, W, 3]` in [-1, 1] and `mask` `[B, H, W, 1]`,
            where 1 marks the hole.
        filled: Float array `[B, H, W, 3]` in [-1, 1].

    Returns:
        Dict of `masked`, `filled` and `target`, as `draw_grid` takes it.
    """
    image, mask = np.asarray(batch["image"]), np.asarray(batch["mask"])
    return {"masked": image * (1 - mask), "filled": filled, "target": image}


def draw_grid(columns, captions=None):
    """Draw a grid of images with a row for each sample.

    Args:
        columns: Dict of float arrays `[B, H, W, 3]` in [-1, 1] by column title.
        captions: List of `B` str, a line of text above each row. Defaults to `None`.

    Returns:
        `PIL.Image.Image`.
    """
    rows, height, width, _ = next(iter(columns.values())).shape
    caption_height = CAPTION if captions else 0
    row_height = caption_height + height + GAP
    grid_size = (len(columns) * (width + GAP) + GAP, rows * row_height + CAPTION)
    grid = Image.new("RGB", grid_size, "white")
    draw = ImageDraw.Draw(grid)
    for i, (title, images) in enumerate(columns.items()):
        left = GAP + i * (width + GAP)
        draw.text((left, 4), title, fill="black")
        for j, image in enumerate(image_to_uint8(images)):
            top = CAPTION + j * row_height + caption_height
            grid.paste(Image.fromarray(image), (left, top))
    for j, caption in enumerate(captions or ()):
        draw.text((GAP, CAPTION + j * row_height + 4), caption, fill="black")
    return grid
