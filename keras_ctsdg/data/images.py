"""Read images of any kind by index, from a folder, a zip or a list."""

from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_ctsdg.data.formats import describe_content
from keras_ctsdg.data.listing import list_images, summarize_not_taken
from keras_ctsdg.data.mask_levels import levels_of_array, levels_of_image
from keras_ctsdg.data.sources import is_path, is_single, list_items, make_source


class ImageError(ValueError):
    """An image or a mask that cannot be used; the message names it."""


class ImageFiles:
    """Images by index, each read when it is asked for.

    Args:
        source: Path of a folder (searched to any depth, in the order of the names),
            of a zip (read in place) or of an image, or a pattern such as
            `"photos/*.jpg"`; an image of any other kind; or a list of images: paths,
            `PIL.Image.Image`s, the bytes of files, open files, tensors, nested lists
            or arrays: `[H, W]`, `[H, W, 3]` or `[H, W, 4]`, bool, integers in
            [0, 255], uint16, or floats in [0, 1].
        argument: Str, the name of the argument in errors. Defaults to `"images"`.
        passed_over: Paths of folders and files that are no part of a folder. Defaults
            to none.

    Attributes:
        sources: List of `keras_ctsdg.data.sources.Source`.
        not_taken: Dict of str to str, why files in a folder, a zip or a pattern that
            seem to be images are not taken, by name.

    Raises:
        ValueError: If the source does not exist or contains no image.
    """

    def __init__(self, source, argument="images", passed_over=()):
        self.argument = argument
        self.not_taken = {}
        if is_path(source):
            self.sources, self.not_taken = list_images(source, argument, passed_over)
        elif is_single(source):
            self.sources = [make_source(source, argument)]
        else:
            self.sources = [
                make_source(image, f"{argument}[{i}]")
                for i, image in enumerate(list_items(source, argument))
            ]
        if not self.sources:
            raise ValueError(
                f"`{argument}` must contain an image that Pillow opens. "
                f"Received: {argument}={source}"
                + (f", {summarize_not_taken(self.not_taken)}" if self.not_taken else "")
            )

    def __len__(self):
        return len(self.sources)

    def name(self, index):
        """Return the name of an image: its path, or its index in the list."""
        return self.sources[index].name

    def names(self):
        """Return the names of all images, in a list."""
        return [source.name for source in self.sources]

    def size(self, index):
        """Return the width and height of an image as stored, without decoding it.

        Args:
            index: Int.

        Raises:
            ImageError: If it is not an image, or too large.
        """
        with self.open(index) as image:
            return image.size

    def select(self, indices):
        """Return the same source with only the images of the given indices."""
        files = object.__new__(ImageFiles)
        files.argument, files.not_taken = self.argument, {}
        files.sources = [self.sources[i] for i in indices]
        return files

    def load(self, index, shrink_to=None):
        """Read an image upright in RGB, with 8 bits a channel, on white.

        Args:
            index: Int.
            shrink_to: Int, the length in pixels that no side may fall below when a
                large JPEG is decoded at a half, a quarter or an eighth of its size.
                Defaults to `None`, the full size.

        Returns:
            `PIL.Image.Image`; the first frame of an animation.

        Raises:
            ImageError: If it is not an image, damaged or too large.
        """
        with self.open(index) as image:
            if shrink_to is not None:
                image.draft(None, (shrink_to, shrink_to))
            # Pillow reports damage on the first call only; later calls return the
            # part that was decoded.
            image.load()
            return _to_rgb(_turn_upright(image))

    def load_original(self, index):
        """Read an image as stored: with its mode, alpha, EXIF and color profile.

        Args:
            index: Int.

        Returns:
            `PIL.Image.Image`; the first frame of an animation.

        Raises:
            ImageError: If it is not an image, damaged or too large.
        """
        with self.open(index) as image:
            image.load()
            return image

    def load_mask(self, index):
        """Read a mask upright, as `keras_ctsdg.data.mask_levels` says.

        Args:
            index: Int.

        Returns:
            Uint8 array `[H, W]`, where 255 marks the hole.

        Raises:
            ImageError: If it cannot be read or does not tell the hole.
        """
        array = self.sources[index].array
        if array is not None:
            with self._name_errors(index, "be read as a mask"):
                return levels_of_array(array)
        with self.open(index, "be read as a mask") as image:
            return read_mask_levels(image)

    @contextmanager
    def open(self, index, purpose="be read"):
        """Open an image as Pillow does.

        Args:
            index: Int.
            purpose: Str that completes "cannot" in errors. Defaults to `"be read"`.

        Yields:
            `PIL.Image.Image`.

        Raises:
            ImageError: If anything in the `with` block raises an error.
        """
        with self._name_errors(index, purpose), self.sources[index].open() as image:
            yield image

    @contextmanager
    def _name_errors(self, index, purpose):
        """Turn every error into an `ImageError` that names the image."""
        source = self.sources[index]
        try:
            yield
        # Decoders raise nearly any exception on damaged files.
        except Exception as error:
            reason = str(error) or type(error).__name__
            if isinstance(error, UnidentifiedImageError):
                reason = "cannot identify image file"
                content = describe_content(source.head())
                reason += "" if content is None else f": {content}"
            raise ImageError(
                f"Image {index} of `{self.argument}` cannot {purpose}: {reason}. "
                f"Received: {source.name}"
            ) from error


# === Conversion ===


def read_mask_levels(image):
    """Read the levels of an open mask.

    Args:
        image: `PIL.Image.Image`.

    Returns:
        Uint8 array `[H, W]`, upright, where 255 marks the hole.

    Raises:
        ValueError: If it does not tell the hole.
    """
    image.load()
    return levels_of_image(_turn_upright(image))


def _turn_upright(image):
    try:
        return ImageOps.exif_transpose(image)
    except (KeyError, OSError, SyntaxError, TypeError, ValueError):
        return image  # A damaged EXIF block says nothing about the orientation.


def _to_rgb(image):
    """Return an image of any mode in RGB; transparent pixels become white."""
    if image.mode == "F":
        raise ValueError("images of floating-point numbers have no known range")
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype("int64")
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError("it has more than 16 bits a channel")
        image = Image.fromarray(np.rint(levels / 257).astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image)
    return image.convert("RGB")
