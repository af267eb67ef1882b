"""The options of a fill: declared, documented and validated in one place."""

from dataclasses import dataclass, field
from enum import StrEnum

from keras_ctsdg._checks import check_choice, check_positive
from keras_ctsdg.inpainting.formats import list_endings

MAX_FEATHER = 64


class Strategy(StrEnum):
    """Which parts of an image the network sees."""

    AUTO = "auto"
    FULL = "full"
    CROP = "crop"
    RESIZE = "resize"


class Frames(StrEnum):
    """Which frames of an image file are filled."""

    ONE = "one"
    FIRST = "first"
    ALL = "all"


def _option(default, help_text, **limits):
    """Declare an option: its default, and its help and limits on the command line."""
    return field(default=default, metadata={"help": help_text, **limits})


@dataclass(frozen=True, kw_only=True)
class InpaintOptions:
    """Options of a fill, shared by Python, the command line and the demo.

    Args:
        strategy: What the network sees. `"full"`: the whole image, mirrored at its
            borders to a multiple of 128. `"crop"`: each hole with its surroundings
            (a quarter of its size on each side, at least 64 pixels) at the image's
            own resolution; holes whose surroundings overlap are filled together, and
            a scratch too long for one crop in pieces. `"resize"`: the whole image,
            resized to the long side `size`. `"auto"`: `"full"` if no side exceeds
            `size`, else `"crop"`, where a hole too large for a crop is filled at the
            long side `size`; within `memory_limit`. Defaults to `"auto"`.
        size: Int, a long side in pixels. The paper's weights were trained at 256.
            Defaults to `384`.
        invert_mask: Bool, whether black or 0 marks the hole instead of white or 1.
            Defaults to `False`.
        threshold: Float in (0, 1], the mask value from which a pixel belongs to the
            hole, in masks of more than two levels. Defaults to `0.5`.
        dilate: Int, the number of pixels by which the hole grows on all sides.
            Defaults to `0`.
        feather: Float in [0, 64], the width in pixels of the blend between image and
            fill, measured from the hole's rim inward. Defaults to `0`.
        memory_limit: Float, the memory in gigabytes that the network may take, as
            estimated from the size of its input. Defaults to `3.0`.

    Raises:
        ValueError: If an option breaks a rule above.
    """

    strategy: Strategy = _option(
        Strategy.AUTO, "What the network sees: the whole image, or crops of it."
    )
    size: int = _option(384, "Long side in pixels, for resize and auto.", min=1)
    invert_mask: bool = _option(False, "Black marks the hole.")
    threshold: float = _option(0.5, "Mask value, in (0, 1], from which a hole begins.")
    dilate: int = _option(0, "Pixels by which the hole grows.", min=0)
    feather: float = _option(0.0, "Pixels to blend inside the rim.", min=0)
    memory_limit: float = _option(3.0, "Gigabytes that the network may take.")

    def __post_init__(self):
        check_choice("strategy", self.strategy, Strategy)
        check_positive("size", self.size)
        if not 0 < self.threshold <= 1:
            raise ValueError(
                f"`threshold` must be in (0, 1]. Received: threshold={self.threshold}"
            )
        # Also false for NaN and infinity.
        if not (self.dilate >= 0 and self.dilate % 1 == 0):
            raise ValueError(
                "`dilate` must be a whole number and not negative. "
                f"Received: dilate={self.dilate}"
            )
        if not 0 <= self.feather <= MAX_FEATHER:
            raise ValueError(
                f"`feather` must be in [0, {MAX_FEATHER}]. "
                f"Received: feather={self.feather}"
            )
        if not self.memory_limit > 0:
            raise ValueError(
                "`memory_limit` must be positive. "
                f"Received: memory_limit={self.memory_limit}"
            )


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Options of the files that `keras-ctsdg inpaint` reads and writes.

    Args:
        format: Str, the ending of the results, such as `"png"`, or `None` for those of
            the images. Defaults to `None`.
        quality: Int in [1, 100], the quality of JPEG, WebP, AVIF and HEIF, or `None`
            for that of the image. Formats without loss have none. Defaults to `None`.
        frames: `"one"` refuses animations and files of several pages, `"first"` fills
            their first frame, and `"all"` fills all of them, each with the mask, or
            with its own frame of a mask of as many frames. Of an MPO, a JPEG with
            further images, `"one"` fills the first. Defaults to `"one"`.

    Raises:
        ValueError: If an option breaks a rule above.
    """

    format: str | None = _option(None, "Ending of the results, such as png.")
    quality: int | None = _option(
        None, "Quality of JPEG, WebP and AVIF. Default: as the image.", min=1, max=100
    )
    frames: Frames = _option(
        Frames.ONE, "Refuse several frames, or fill the first or all of them."
    )

    def __post_init__(self):
        if self.ending is not None and self.ending not in list_endings():
            raise ValueError(
                f"`format` must be an ending of images ({' '.join(list_endings())}). "
                f"Received: format={self.format!r}"
            )
        if self.quality is not None and self.quality not in range(1, 101):
            raise ValueError(
                "`quality` must be a whole number in [1, 100]. "
                f"Received: quality={self.quality}"
            )
        check_choice("frames", self.frames, Frames)

    @property
    def ending(self):
        """Str, the ending of the results with its dot, or `None`."""
        return None if self.format is None else f".{self.format.lower().lstrip('.')}"
