import numpy as np
from PIL import Image


def load_sample_photos(names):
    """Load photographs that scikit-image includes, without a download.

    Args:
        names: Iterable of str, names of functions in `skimage.data`, such as
            `"astronaut"`.

    Returns:
        List of uint8 arrays `[H, W, 3]`.
    """
    from skimage import data

    photos = [Image.fromarray(getattr(data, name)()) for name in names]
    return [np.asarray(photo.convert("RGB")) for photo in photos]
