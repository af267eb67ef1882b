"""Convolutions as matrix products, where XLA on a CPU is slow by itself.

XLA takes the gradient of a kernel as a convolution with windows of a whole map, on
one core, and that of a strided layer's input on a map that is mostly zeros. Both take
several times longer than the convolution forwards.
"""

import keras
from keras import ops

from keras_ctsdg.layers._ops import zero_pad

# By the clock, on 2 cores: products are faster from these sizes on. Fewer pixels or
# channels leave matrices too narrow.
PIXELS, CHANNELS = 32 * 32, 16
# Pixels that are multiplied at once: their windows stay in a cache.
PIXELS_AT_ONCE = 1024


def on_xla_cpu():
    """Whether convolutions run on XLA and a CPU."""
    if keras.backend.backend() != "jax":
        return False
    return keras.distribution.list_devices()[0].startswith("cpu")


def prefers_products(x, kernel, strides, padding, dilation_rate):
    """Whether the gradients of an `ops.conv` are better taken as products."""
    size, _, channels, filters = kernel.shape
    _, height, width, _ = x.shape
    known = isinstance(height, int) and isinstance(width, int)
    square = all(
        first == second for first, second in (kernel.shape[:2], strides, dilation_rate)
    )
    # With `same`, Keras pads even windows and larger steps on one side only.
    alike = padding == "valid" or (strides == (1, 1) and size % 2 == 1)
    return (
        on_xla_cpu()
        and square
        and alike
        and (strides == (1, 1) or dilation_rate == (1, 1))
        and size > 1
        and min(channels, filters) >= CHANNELS
        # A model that is exported may leave sizes open.
        and known
        and (height // strides[0]) * (width // strides[0]) >= PIXELS
    )


def with_gradients_as_products(convolve, strides, padding, dilation_rate):
    """A convolution whose gradients are products of matrices.

    Args:
        convolve: Function of `x` and `kernel` that gives their convolution, as
            described by the other arguments of `gradients_as_products`.

    Returns:
        Function as `convolve`, of the same values.
    """

    @ops.custom_gradient
    def convolve_too(x, kernel):
        def gradients(upstream):
            return gradients_as_products(
                x, kernel, upstream, strides, padding, dilation_rate
            )

        return convolve(x, kernel), gradients

    return convolve_too


def gradients_as_products(x, kernel, upstream, strides, padding, dilation_rate):
    """Gradients of both operands of a convolution.

    Args:
        x: Tensor `[B, H, W, C]`.
        kernel: Tensor `[size, size, C, filters]`.
        upstream: Tensor `[B, H', W', filters]`, the gradient of the result.
        strides: Int, the step of the window.
        padding: `"valid"`, or `"same"` with steps of 1 and an odd window.
        dilation_rate: Int, `1` with larger steps.

    Returns:
        Tuple of tensors as `x` and as `kernel`.
    """
    if strides == 1:
        return _gradients(x, kernel, upstream, padding, dilation_rate)
    of_x, of_kernel = _gradients(
        _pixels_as_channels(x, upstream, kernel.shape[0], strides),
        _taps_as_channels(kernel, strides),
        upstream,
    )
    return (
        _channels_as_pixels(of_x, x, strides),
        _channels_as_taps(of_kernel, kernel, strides),
    )


def _gradients(x, kernel, upstream, padding="valid", dilation_rate=1):
    """Those of a convolution of step 1."""
    size = kernel.shape[0]
    reach = dilation_rate * (size - 1)
    before, after = (0, reach) if padding == "valid" else (reach // 2, reach // 2)
    wide = zero_pad(upstream, after)
    # Back to the input goes a convolution too, by the kernel turned around.
    turned = ops.transpose(ops.flip(kernel, (0, 1)), (0, 1, 3, 2))
    whole = upstream if padding == "same" else wide
    of_x = ops.conv(whole, turned, 1, padding, "channels_last", dilation_rate)
    # Of the two, windows are cut from the one that has fewer channels.
    if x.shape[-1] < upstream.shape[-1]:
        of_kernel = _window_products(upstream, zero_pad(x, before), size, dilation_rate)
        of_kernel = ops.transpose(of_kernel, (0, 1, 3, 2))
    else:
        of_kernel = _window_products(x, wide, size, dilation_rate)
        of_kernel = ops.flip(of_kernel, (0, 1))
    return of_x, ops.cast(of_kernel, kernel.dtype)


def _window_products(fixed, moved, size, dilation_rate):
    """Products of pixels with those of a window, summed over a map.

    Args:
        fixed: Tensor `[B, H, W, C]`.
        moved: Tensor `[B, H + reach, W + reach, D]`, `reach` being
            `dilation_rate * (size - 1)`.
        size: Int, height and width of the window.
        dilation_rate: Int.

    Returns:
        Tensor `[size, size, C, D]` in float32.
    """
    _, height, width, channels = fixed.shape
    reach, others = moved.shape[1] - height, moved.shape[-1]
    count = -(-height // max(1, PIXELS_AT_ONCE // width))
    rows = -(-height // count)
    missing = ((0, 0), (0, rows * count - height), (0, 0), (0, 0))
    moved = ops.pad(moved, missing)
    blocks = ops.reshape(ops.pad(fixed, missing), (-1, rows * width, channels))
    offsets = [dilation_rate * step for step in range(size)]

    def body(total, block):
        pixels, index = block
        start = (index // count, index % count * rows, 0, 0)
        window = ops.slice(moved, start, (1, rows + reach, width + reach, others))[0]
        windows = ops.concatenate(
            [window[i : i + rows, j : j + width] for i in offsets for j in offsets],
            axis=-1,
        )
        windows = ops.reshape(windows, (rows * width, size * size * others))
        pixels, windows = (ops.cast(part, "float32") for part in (pixels, windows))
        return total + ops.matmul(ops.transpose(pixels), windows), None

    total = ops.zeros((channels, size * size * others), "float32")
    indices = ops.arange(blocks.shape[0], dtype="int32")
    total, _ = ops.scan(body, total, (blocks, indices))
    total = ops.reshape(total, (channels, size, size, others))
    return ops.transpose(total, (1, 2, 0, 3))


# === A larger step, as a step of 1 over blocks of pixels ===


def _pixels_as_channels(x, upstream, size, strides):
    reach = -(-size // strides) - 1
    wanted = [strides * (length + reach) for length in upstream.shape[1:3]]
    x = _extend(x, *wanted)
    # Behind them are pixels that no window reaches.
    return ops.space_to_depth(x[:, : wanted[0], : wanted[1]], strides)


def _channels_as_pixels(x, like, strides):
    _, height, width, _ = like.shape
    return _extend(ops.depth_to_space(x, strides), height, width)[:, :height, :width]


def _extend(x, height, width):
    """Adds zeros below and on the right, up to a size."""
    missing = (max(0, height - x.shape[1]), max(0, width - x.shape[2]))
    return ops.pad(x, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))


def _taps_as_channels(kernel, strides):
    size, _, channels, filters = kernel.shape
    missing = (0, -size % strides)
    kernel = ops.pad(kernel, (missing, missing, (0, 0), (0, 0)))
    kernel = ops.reshape(kernel, (1, *kernel.shape[:2], channels * filters))
    kernel = ops.space_to_depth(kernel, strides)[0]
    return ops.reshape(kernel, (*kernel.shape[:2], strides**2 * channels, filters))


def _channels_as_taps(kernel, like, strides):
    size, _, channels, filters = like.shape
    kernel = ops.reshape(kernel, (1, *kernel.shape[:2], -1))
    kernel = ops.depth_to_space(kernel, strides)[0, :size, :size]
    return ops.reshape(kernel, (size, size, channels, filters))
