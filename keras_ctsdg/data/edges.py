import numpy as np

EDGES = ("clean", "wrapped")


def gray_and_edge(image, edges="clean", sigma=2.0):
    """The gray picture and its Canny edges, the structure stream's inputs.

    Args:
        image: Float array `[H, W, 3]` in [-1, 1].
        edges: `"clean"`, or `"wrapped"` for weights of the original
            implementations, which turn the picture into bytes so that all that is
            darker than mid-gray wraps around. Defaults to `"clean"`.
        sigma: Float, the width of Canny's Gaussian in pixels. Defaults to `2.0`.

    Returns:
        Tuple of two float32 arrays `[H, W, 1]`: gray in [0, 1] and edge, 0 or 1.

    Raises:
        ValueError: If `edges` is neither, or `image` is not of that shape.

    Example:

    >>> gray, edge = gray_and_edge(np.zeros((128, 128, 3)))
    >>> gray.shape, edge.shape
    ((128, 128, 1), (128, 128, 1))
    """
    from skimage.color import rgb2gray
    from skimage.feature import canny

    if edges not in EDGES:
        raise ValueError(f"`edges` must be one of {EDGES}. Received: edges={edges!r}")
    image = np.asarray(image, "float32")
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            f"`image` must be of shape [H, W, 3]. Received: image.shape={image.shape}"
        )
    if edges == "clean":
        levels = np.rint((image + 1) * 127.5)
    else:
        # By way of whole numbers: what a negative float makes as a byte depends
        # on the processor.
        levels = (image * np.float32(255)).astype("int64") % 256
    gray = rgb2gray(levels.astype("uint8"))
    edge = canny(gray, sigma=sigma)
    return gray[..., None].astype("float32"), edge[..., None].astype("float32")
