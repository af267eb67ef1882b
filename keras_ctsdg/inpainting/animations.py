"""Frames of animations, and how they are played."""

import numpy as np
from PIL import Image

from keras_ctsdg.data.images import ImageError

# Formats whose frames follow each other in time, on a common canvas.
ANIMATIONS = ("AVIF", "GIF", "PNG", "WEBP")


def read_playback(image, frames):
    """Return how an animation is played.

    Args:
        image: `PIL.Image.Image`, opened from a file of one of `ANIMATIONS`.
        frames: List of `PIL.Image.Image`, whose `info` holds their `duration`.

    Returns:
        Dict of the list `duration` in milliseconds, the number `loop` of plays, where
        0 is endless, and the bool `default_image`, whether the first frame is shown
        only where animations are not.
    """
    return {
        "duration": [frame.info["duration"] for frame in frames],
        # An AVIF does not say; a GIF without a number is played once.
        "loop": image.info.get("loop", 0 if image.format == "AVIF" else None),
        "default_image": bool(image.info.get("default_image")),
    }


def playback_arguments(image_format, frames, playback):
    """Return the arguments of Pillow's `save` for the frames of an animation.

    Args:
        image_format: Str, the format to write.
        frames: List of `PIL.Image.Image` to be written.
        playback: Dict from `read_playback`, or an empty one.

    Returns:
        Dict.
    """
    options = {"save_all": True, "append_images": frames[1:]}
    if image_format not in ANIMATIONS or not playback:
        return options
    options["duration"] = playback["duration"]
    loop = playback["loop"]
    match image_format:
        case "GIF":
            if loop is not None:
                options["loop"] = loop
            # Where a pixel becomes transparent, the last frame must be cleared.
            is_opaque = not any(frame.has_transparency_data for frame in frames)
            options["disposal"] = 1 if is_opaque else 2
        case "PNG":
            # Frames are stored whole: each replaces the last one.
            options |= {"disposal": 0, "blend": 0, "loop": 1 if loop is None else loop}
            options["default_image"] = playback["default_image"]
        case "WEBP":
            options["loop"] = 1 if loop is None else loop
    return options


def to_common_mode(frames):
    """Convert the frames of an animation to one mode that holds all their pixels.

    Args:
        frames: List of `PIL.Image.Image`.

    Returns:
        List of `PIL.Image.Image`, all of mode L, LA, RGB or RGBA.
    """
    modes = {frame.mode for frame in frames}
    if len(modes) == 1 and modes <= {"L", "LA", "RGB", "RGBA"}:
        return frames
    mode = "RGBA" if any(frame.has_transparency_data for frame in frames) else "RGB"
    return [frame.convert(mode) for frame in frames]


def to_palette(frame, index):
    """Convert a frame to a palette of just its own colors.

    Args:
        frame: `PIL.Image.Image`.
        index: Int, its index in errors.

    Returns:
        `PIL.Image.Image` of mode P.

    Raises:
        ImageError: If it has more than 256 colors.
    """
    pixels = np.array(frame.convert("RGBA")).reshape(-1, 4)
    pixels[pixels[:, 3] == 0] = 0
    # As single numbers, colors are sorted quickly.
    colors, indices = np.unique(pixels.view("<u4")[:, 0], return_inverse=True)
    if len(colors) > 256:
        raise ImageError(
            f"`format` must hold more than the 256 colors of a GIF's frame, as webp "
            f"does. Received: frame {index} with {len(colors)} colors"
        )
    table = colors.astype("<u4").view("u1").reshape(-1, 4)
    result = Image.fromarray(indices.reshape(frame.size[::-1]).astype("uint8"))
    result.putpalette(table[:, :3].tobytes())
    result.info = {x: y for x, y in frame.info.items() if x in ("duration", "loop")}
    if (table[:, 3] == 0).any():
        result.info["transparency"] = int(np.argmin(table[:, 3]))
    return result
