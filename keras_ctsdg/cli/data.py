from keras_ctsdg import data
from keras_ctsdg.conventions import SIZE_MULTIPLE
from keras_ctsdg.data.pairs import open_images_and_masks


def open_dataset(images, masks, celeba, split, passed_over, **kwargs):
    """Open the data set that a command's options name.

    Args:
        images: Path that `--images` names, or `None`.
        masks: Path that `--masks` names, a `keras_ctsdg.data.RandomIrregularMasks`,
            or `None`.
        celeba: Path that `--celeba` names, instead of both, or `None`.
        split: Str, the split of CelebA.
        passed_over: List of paths of folders that hold other images, such as results.
        **kwargs: Arguments of `keras_ctsdg.data.InpaintingDataset`.

    Returns:
        `keras_ctsdg.data.InpaintingDataset`.

    Raises:
        ValueError: If the options do not name one data set, or the image size is not
            a multiple of 128.
    """
    if kwargs["image_size"] % SIZE_MULTIPLE:
        raise ValueError(
            f"--image-size must be a multiple of {SIZE_MULTIPLE}. "
            f"Received: --image-size {kwargs['image_size']}"
        )
    if celeba is not None:
        if images is not None or masks is not None:
            raise ValueError(
                "--celeba has its own images and masks. Received: "
                f"--images {images} --masks {masks} --celeba {celeba}"
            )
        return data.celeba(celeba, split, **kwargs)
    if images is None:
        raise ValueError("Pass --images or --celeba. Received: neither")
    images, masks = open_images_and_masks(images, masks, passed_over)
    return data.InpaintingDataset(images, masks, **kwargs)
