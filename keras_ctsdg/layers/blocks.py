"""Feature maps with a rim of zeros, and their pixels as channels and back."""

from keras import ops


def zero_pad(x, width):
    """Feature map `[B, H, W, C]` with `width` zeros on every side."""
    return ops.pad(x, ((0, 0), (width, width), (width, width), (0, 0)))


def space_to_depth(x, size):
    """Feature map `[B, n * size, m * size, C]` as `[B, n, m, size * size * C]`."""
    _, height, width, channels = ops.shape(x)
    height, width = height // size, width // size
    x = ops.reshape(x, (-1, height, size, width, size, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height, width, size * size * channels))


def depth_to_space(x, size):
    """The reverse of `space_to_depth`."""
    _, height, width, channels = ops.shape(x)
    channels = channels // (size * size)
    x = ops.reshape(x, (-1, height, width, size, size, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, size * height, size * width, channels))
