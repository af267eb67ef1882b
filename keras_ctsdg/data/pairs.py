"""Images and masks that are told apart, wherever they lie."""

import re

from keras_ctsdg.data.arrays import check_channels_last, is_array, to_array
from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.data.listing import is_same_place, warn_of_not_taken
from keras_ctsdg.data.masks import MaskFiles, RandomIrregularMasks
from keras_ctsdg.data.sources import expand_user, is_path

MASK_NAME = re.compile(r"(.+)[_-]mask\d*", re.IGNORECASE)
MASK_BESIDE = "named as the mask of the image beside it"


def open_images_and_masks(images, masks, passed_over=()):
    """Open the images and masks of a data set.

    No mask is taken for an image: of folders within each other each is searched without
    the other, and masks beside their images, as in `a.png` and `a_mask001.png`, are
    no images.

    Args:
        images, masks: As `keras_ctsdg.data.InpaintingDataset` takes them.
        passed_over: List of paths of further folders that hold neither. Defaults to
            none.

    Returns:
        Tuple of `ImageFiles` and of `MaskFiles`, `RandomIrregularMasks` or `None`.

    Raises:
        ValueError: If a source contains no image, or both are the same.
    """
    if masks is not None and masks is images and not is_path(images):
        raise_same("the same object for both")
    source = images
    if not isinstance(images, ImageFiles):
        if is_array(images):
            # Three channels must not become three gray images.
            images = to_array(images, "images")
            check_channels_last(images.shape, "images")
        others = [masks] if is_path(masks) else []
        images = ImageFiles(images, "images", [*others, *passed_over])
    if is_path(source):
        images, beside = split_masks_beside(images)
        if is_path(masks) and is_same_place(source, masks):
            if beside is None:
                raise_same(f"images={source}, masks={masks}")
            masks = MaskFiles(beside)
        elif beside is not None:
            images.not_taken |= dict.fromkeys(beside.names(), MASK_BESIDE)
        warn_of_not_taken(images.not_taken, "images")
    if not isinstance(masks, (MaskFiles, RandomIrregularMasks, type(None))):
        # A pattern of images may match the masks, too.
        others = [source] if is_path(source) and expand_user(source).exists() else []
        masks = MaskFiles(masks, [*others, *passed_over])
        warn_of_not_taken(masks.files.not_taken, "masks")
    return images, masks


def split_masks_beside(images):
    """Separate images from the masks that lie beside them.

    Args:
        images: `ImageFiles` of a folder, a zip or a pattern.

    Returns:
        Tuple of `ImageFiles` without the masks, and of `ImageFiles` of the masks alone;
        `None` if there are none.
    """
    beside = find_masks_beside(images.sources)
    if not beside:
        return images, None
    masks = images.select(beside)
    masks.argument = "masks"
    rest = images.select(i for i in range(len(images)) if i not in beside)
    rest.not_taken = images.not_taken
    return rest, masks


def raise_same(received):
    """Refuse images that are their own masks.

    Args:
        received: Str, what the error ends with.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        "`masks` must not be `images`: put the masks into a folder of their own, or "
        "name them as their images with `_mask001` before the ending. "
        f"Received: {received}"
    )


def find_masks_beside(sources):
    """Find the masks in the layout `a.png`, `a_mask001.png`, as LaMa has it.

    Args:
        sources: List of `Source`.

    Returns:
        List of the indices of the masks in `sources`, in the order of their images.
    """
    found = {i: without_mask_suffix(x.path) for i, x in enumerate(sources)}
    found = {i: image for i, image in found.items() if image is not None}
    if not found:
        return []
    images = {source.path.with_suffix(""): i for i, source in enumerate(sources)}
    pairs = [(images[image], i) for i, image in found.items() if image in images]
    return [i for _, i in sorted(pairs)]


def without_mask_suffix(path):
    """Return a path without its ending and without `_mask001` before it.

    Args:
        path: `pathlib.PurePath`.

    Returns:
        `pathlib.PurePath`, or `None` if the name has no such part.
    """
    match = MASK_NAME.fullmatch(path.stem)
    return match and path.with_name(match[1])
