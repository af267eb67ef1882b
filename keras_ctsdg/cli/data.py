"""Data sets from the options that several commands share."""


def open_dataset(images, masks, celeba, split, **kwargs):
    """The data set that `--images` and `--masks`, or `--celeba`, stand for."""
    from keras_ctsdg import data
    from keras_ctsdg.conventions import SIZE_MULTIPLE

    if kwargs["image_size"] % SIZE_MULTIPLE:
        raise ValueError(
            f"--image-size must be a multiple of {SIZE_MULTIPLE}. "
            f"Received: --image-size {kwargs['image_size']}"
        )

    if celeba is not None:
        if images is not None or masks is not None:
            raise ValueError(
                "--celeba brings its own pictures and masks. Received: "
                f"--images {images} --masks {masks} --celeba {celeba}"
            )
        return data.celeba(celeba, split, **kwargs)
    if images is None:
        raise ValueError("Pass --images, or --celeba. Received: neither")
    return data.InpaintingDataset(images, masks, **kwargs)
