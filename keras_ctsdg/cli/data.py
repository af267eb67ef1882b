from keras_ctsdg import data
from keras_ctsdg.conventions import SIZE_MULTIPLE


def open_dataset(images, masks, celeba, split, **kwargs):
    """Open the data set that a command's options name.

    Args:
        images: Path that `--images` names, or `None`.
        masks: Path that `--masks` names, a `keras_ctsdg.data.RandomIrregularMasks`,
            or `None`.
        celeba: Path that `--celeba` names, instead of both, or `None`.
        split: Str, the split of CelebA.
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
    return data.InpaintingDataset(images, masks, **kwargs)
