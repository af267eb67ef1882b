"""Gradients of convolutions as matrix products, where XLA is slow on a CPU.

XLA computes the gradient of a kernel as a convolution whose window is a whole feature
map, on a single core, and the gradient of a strided layer's input on a map that is
mostly zeros. Both take several times longer than the forward convolution.
"""

import keras
from keras import ops

from keras_ctsdg.layers._ops import zero_pad

# Measured on 2 cores: products are faster from these sizes on. With fewer pixels or
# channels, the matrices are too narrow.
MIN_PIXELS, MIN_CHANNELS = 32 * 32, 16
# Pixels per product, so few that their windows stay in the cache.
PIXELS_PER_BLOCK = 1024


def runs_on_xla_cpu():
    """Return whether the backend compiles with XLA for a CPU."""
    if keras.backend.backend() != "jax":
        return False
    return keras.distribution.list_devices()[0].startswith("cpu")


def prefers_products(x, kernel, strides, padding, dilation_rate):
    """Return whether the gradients of an `ops.conv` are faster as products."""
    size, _, channels, filters = kernel.shape
    _, height, width, _ = x.shape
    has_known_size = isinstance(height, int) and isinstance(width, int)
    is_square = all(
        first == second for first, second in (kernel.shape[:2], strides, dilation_rate)
    )
    # With `same`, Keras pads one side only for even windows and larger strides.
    is_symmetric = padding == "valid" or (strides == (1, 1) and size % 2 == 1)
    return (
        runs_on_xla_cpu()
        and is_square
        and is_symmetric
        and (strides == (1, 1) or dilation_rate == (1, 1))
        and size > 1
        and min(channels, filters) >= MIN_CHANNELS
        # The sizes of an exported model may be unknown.
        and has_known_size
        and (height // strides[0]) * (width // strides[0]) >= MIN_PIXELS
    )


def with_gradients_as_products(convolve, strides, padding, dilation_rate):
    """Return a convolution whose gradients are computed as matrix products.

    Args:
        convolve: Function of `x` and `kernel` that returns their convolution.
        strides: Int, as in `gradients_as_products`.
        padding: Str, as in `gradients_as_products`.
        dilation_rate: Int, as in `gradients_as_products`.

    Returns:
        Function that returns the same values as `convolve`.
    """

    @ops.custom_gradient
    def convolve_with_product_gradients(x, kernel):
        def gradients(upstream):
            return gradients_as_products(
                x, kernel, upstream, strides, padding, dilation_rate
            )

        return convolve(x, kernel), gradients

    return convolve_with_product_gradients


def gradients_as_products(x, kernel, upstream, strides, padding, dilation_rate):
    """Compute the gradients of both operands of a convolution.

    Args:
        x: Tensor `[B, H, W, C]`.
        kernel: Tensor `[size, size, C, filters]`.
        upstream: Tensor `[B, H', W', filters]`, the gradient of the result.
        strides: Int, the stride of the window.
        padding: `"valid"`, or `"same"` with a stride of 1 and an odd window.
        dilation_rate: Int, which must be `1` if the stride is larger than 1.

    Returns:
        Tuple of the gradients of `x` and `kernel`, of their shapes.
    """
    if strides == 1:
        return _unstrided_gradients(x, kernel, upstream, padding, dilation_rate)
    x_gradient, kernel_gradient = _unstrided_gradients(
        _fold_pixels(x, upstream.shape, kernel.shape[0], strides),
        _fold_kernel(kernel, strides),
        upstream,
    )
    return (
        _unfold_pixels(x_gradient, x.shape, strides),
        _unfold_kernel(kernel_gradient, kernel.shape, strides),
    )


def _unstrided_gradients(x, kernel, upstream, padding="valid", dilation_rate=1):
    size = kernel.shape[0]
    extent = dilation_rate * (size - 1)
    before, after = (0, extent) if padding == "valid" else (extent // 2, extent // 2)
    padded_upstream = zero_pad(upstream, after)
    # The gradient of the input is a convolution too, with the kernel rotated by 180°.
    rotated_kernel = ops.transpose(ops.flip(kernel, (0, 1)), (0, 1, 3, 2))
    x_gradient = ops.conv(
        upstream if padding == "same" else padded_upstream,
        rotated_kernel,
        1,
        padding,
        "channels_last",
        dilation_rate,
    )
    # Windows are copies, so they are cut from the map that has fewer channels.
    if x.shape[-1] < upstream.shape[-1]:
        kernel_gradient = _window_products(
            upstream, zero_pad(x, before), size, dilation_rate
        )
        kernel_gradient = ops.transpose(kernel_gradient, (0, 1, 3, 2))
    else:
        kernel_gradient = _window_products(x, padded_upstream, size, dilation_rate)
        kernel_gradient = ops.flip(kernel_gradient, (0, 1))
    return x_gradient, ops.cast(kernel_gradient, kernel.dtype)


def _window_products(pixel_map, window_map, size, dilation_rate):
    """Multiply each pixel with the window at its position and sum over all pixels.

    Args:
        pixel_map: Tensor `[B, H, W, C]`.
        window_map: Tensor `[B, H + extent, W + extent, D]`, where `extent` is
            `dilation_rate * (size - 1)`.
        size: Int, the height and width of the window.
        dilation_rate: Int.

    Returns:
        Float32 tensor `[size, size, C, D]`.
    """
    _, height, width, channels = pixel_map.shape
    extent, window_channels = window_map.shape[1] - height, window_map.shape[-1]
    count = -(-height // max(1, PIXELS_PER_BLOCK // width))
    rows = -(-height // count)
    margins = ((0, 0), (0, rows * count - height), (0, 0), (0, 0))
    window_map = ops.pad(window_map, margins)
    blocks = ops.reshape(ops.pad(pixel_map, margins), (-1, rows * width, channels))
    offsets = [dilation_rate * step for step in range(size)]

    def add_block(total, block):
        pixels, index = block
        start = (index // count, index % count * rows, 0, 0)
        shape = (1, rows + extent, width + extent, window_channels)
        window = ops.slice(window_map, start, shape)[0]
        windows = ops.concatenate(
            [window[i : i + rows, j : j + width] for i in offsets for j in offsets],
            axis=-1,
        )
        windows = ops.reshape(windows, (rows * width, size * size * window_channels))
        pixels, windows = (ops.cast(part, "float32") for part in (pixels, windows))
        return total + ops.matmul(ops.transpose(pixels), windows), None

    total = ops.zeros((channels, size * size * window_channels), "float32")
    indices = ops.arange(blocks.shape[0], dtype="int32")
    total, _ = ops.scan(add_block, total, (blocks, indices))
    total = ops.reshape(total, (channels, size, size, window_channels))
    return ops.transpose(total, (1, 2, 0, 3))


# === Strided convolutions as unstrided ones, with blocks of pixels as channels ===


def _fold_pixels(x, output_shape, size, strides):
    extent = -(-size // strides) - 1
    height, width = (strides * (length + extent) for length in output_shape[1:3])
    x = _extend(x, height, width)
    # No window reaches the pixels that are cut off here.
    return ops.space_to_depth(x[:, :height, :width], strides)


def _unfold_pixels(x, shape, strides):
    _, height, width, _ = shape
    return _extend(ops.depth_to_space(x, strides), height, width)[:, :height, :width]


def _extend(x, height, width):
    """Add zeros at the bottom and on the right, up to at least a given size."""
    missing = (max(0, height - x.shape[1]), max(0, width - x.shape[2]))
    return ops.pad(x, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))


def _fold_kernel(kernel, strides):
    size, _, channels, filters = kernel.shape
    missing = (0, -size % strides)
    kernel = ops.pad(kernel, (missing, missing, (0, 0), (0, 0)))
    kernel = ops.reshape(kernel, (1, *kernel.shape[:2], channels * filters))
    kernel = ops.space_to_depth(kernel, strides)[0]
    return ops.reshape(kernel, (*kernel.shape[:2], strides**2 * channels, filters))


def _unfold_kernel(kernel, shape, strides):
    size, _, channels, filters = shape
    kernel = ops.reshape(kernel, (1, *kernel.shape[:2], -1))
    kernel = ops.depth_to_space(kernel, strides)[0, :size, :size]
    return ops.reshape(kernel, (size, size, channels, filters))
