"""Growth of edges: binary images, bool `[B, H, W]`."""

from keras import ops

# Half of an int32: shifted by up to 15 bits, a word never reaches the sign bit.
PIXELS_PER_WORD = 16
# On a GPU, each check for convergence waits for all the work before it.
DILATIONS_PER_CHECK = 4


def neighbor_function(x, mode="constant"):
    """Return a function that looks up a neighbor of every pixel.

    Args:
        x: Tensor `[B, H, W]`.
        mode: Str, how `ops.pad` extends the border.

    Returns:
        Function of the neighbor's offsets down and to the right, each -1, 0 or 1. It
        returns a tensor like `x` that holds that neighbor's value at every pixel.
    """
    padded = ops.pad(x, ((0, 0), (1, 1), (1, 1)), mode=mode)

    def neighbor(down, right):
        rows, columns = (slice(1 + i, (i - 1) or None) for i in (down, right))
        return padded[:, rows, columns]

    return neighbor


def erode(x):
    """Return pixels whose eight neighbors are all true, which excludes the border."""
    neighbor = neighbor_function(x)
    rows = ops.logical_and(ops.logical_and(neighbor(-1, 0), x), neighbor(1, 0))
    neighbor = neighbor_function(rows)
    return ops.logical_and(ops.logical_and(neighbor(0, -1), rows), neighbor(0, 1))


def grow_within(seeds, allowed):
    """Return the allowed pixels that allowed pixels connect to one of the seeds.

    The seeds are dilated until nothing changes. This is several times faster on words
    that hold several pixels of a row than on single pixels.
    """
    width = ops.shape(allowed)[2]
    allowed = _pack_bits(allowed)

    def grow(words, _):
        before = words
        for _ in range(DILATIONS_PER_CHECK):
            words = ops.bitwise_and(_dilate(words), allowed)
        return words, ops.any(ops.not_equal(words, before))

    words, _ = ops.while_loop(
        lambda _, has_grown: has_grown,
        grow,
        (_pack_bits(seeds), ops.convert_to_tensor(True)),
    )
    return _unpack_bits(words, width)


def grow_by_pooling(seeds, allowed, while_loop=ops.while_loop):
    """Grow edges as `grow_within` does, by the operations that every runtime has.

    Not all runtimes can shift integers, and this is slower.

    Args:
        seeds: Bool tensor `[B, H, W]`.
        allowed: Bool tensor `[B, H, W]`.
        while_loop: Function with the arguments of `ops.while_loop`. Defaults to it.

    Returns:
        Bool tensor `[B, H, W]`.
    """
    allowed = ops.cast(allowed, "float32")[..., None]

    def grow(pixels, _):
        before = pixels
        for _ in range(DILATIONS_PER_CHECK):
            pixels = ops.max_pool(pixels, 3, 1, "same", "channels_last")
            pixels = ops.minimum(pixels, allowed)
        return pixels, ops.any(ops.not_equal(pixels, before))

    pixels, _ = while_loop(
        lambda _, has_grown: has_grown,
        grow,
        (ops.cast(seeds, "float32")[..., None], ops.convert_to_tensor(True)),
    )
    return pixels[..., 0] > 0


def _dilate(words):
    """Grow packed pixels in all eight directions; bits beyond the word may be set."""
    padded = ops.pad(words, ((0, 0), (0, 0), (1, 1)))
    horizontal = (
        ops.bitwise_left_shift(words, 1),
        ops.bitwise_right_shift(words, 1),
        # The last pixel of the previous word and the first pixel of the next word.
        ops.bitwise_right_shift(padded[:, :, :-2], PIXELS_PER_WORD - 1),
        ops.bitwise_left_shift(padded[:, :, 2:], PIXELS_PER_WORD - 1),
    )
    for neighbors in horizontal:
        words = ops.bitwise_or(words, neighbors)
    padded = ops.pad(words, ((0, 0), (1, 1), (0, 0)))
    vertical = ops.bitwise_or(padded[:, :-2], padded[:, 2:])
    return ops.bitwise_or(words, vertical)


def _pack_bits(x):
    """Pack the pixels of rows into int32 `[B, H, words]`, first pixel lowest."""
    batch, height, width = ops.shape(x)
    count = (width + PIXELS_PER_WORD - 1) // PIXELS_PER_WORD
    x = ops.pad(ops.cast(x, "int32"), ((0, 0), (0, 0), (0, PIXELS_PER_WORD - 1)))
    x = x[:, :, : count * PIXELS_PER_WORD]
    x = ops.reshape(x, (batch, height, count, PIXELS_PER_WORD))
    return ops.sum(ops.bitwise_left_shift(x, _bit_positions()), axis=-1)


def _unpack_bits(words, width):
    batch, height, count = ops.shape(words)
    bits = ops.bitwise_right_shift(words[..., None], _bit_positions())
    bits = ops.bitwise_and(bits, 1)
    bits = ops.reshape(bits, (batch, height, count * PIXELS_PER_WORD))
    return ops.cast(bits[:, :, :width], "bool")


def _bit_positions():
    return ops.arange(PIXELS_PER_WORD, dtype="int32")
