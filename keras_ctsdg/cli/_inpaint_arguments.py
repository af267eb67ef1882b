"""What the words after `keras-ctsdg inpaint` mean."""

from keras_ctsdg.data.remote import RemotePath
from keras_ctsdg.data.sources import expand_user
from keras_ctsdg.export.exported_model import is_exported_file
from keras_ctsdg.presets import DEFAULT_PRESET


def split_arguments(words, images):
    """Return the preset and the images of `inpaint [PRESET] [IMAGES]`.

    Args:
        words: List of str, the arguments that are no options, or `None`.
        images: `Path` given by --images, or `None` if the last word is the images.

    Returns:
        Tuple of a str, by default the preset that is part of the package, and a `Path`.

    Raises:
        ValueError: If there are no images, or more words than these two.
    """
    words = list(words or [])
    if images is None and words:
        images = expand_user(words.pop())
    if images is None or images.suffix == ".keras" or is_exported_file(images):
        raise ValueError(
            "IMAGES must be an image, a folder, or a pattern in quotes. "
            f"Received: {images or 'nothing'}"
        )
    if len(words) > 1:
        raise ValueError(
            "Only a preset may stand before the images; put a pattern in quotes. "
            f"Received: {' '.join([*words, str(images)])}"
        )
    return (*words, DEFAULT_PRESET)[0], images


def default_out(images, ending):
    """Return where results are written without --out: beside the images.

    Args:
        images: `Path` of an image or a folder.
        ending: Str such as `".png"` for the result of an image, or `None` for its own.

    Raises:
        ValueError: If `images` is a pattern or in remote storage, or does not exist.
    """
    path = expand_user(images)
    if isinstance(path, RemotePath) or not path.exists():
        raise ValueError(
            "IMAGES must be an existing image or folder, unless with --out. "
            f"Received: {images}"
        )
    path = path.resolve()
    if path.is_dir():
        return path.with_name(f"{path.name}_filled")
    return path.with_name(f"{path.stem}_filled{ending or path.suffix}")
