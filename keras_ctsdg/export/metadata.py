"""What an exported file says about itself."""

import hashlib
from importlib.metadata import version

import keras

CHANNELS = {"image": 3, "mask": 1, "filled": 3, "edge": 1}


def build_metadata(model, plan, further=None):
    """Return the metadata of an exported file.

    Args:
        model: A `keras_ctsdg.CTSDG`.
        plan: `ExportPlan`.
        further: Dict of further entries, such as `license`. Defaults to `None`.

    Returns:
        Dict of str to str.
    """
    height, width = describe_sizes(plan)
    levels = "levels 0 to 255" if plan.image_dtype == "uint8" else "values 0 to 1"

    def shape(name):
        return f"[batch, {height}, {width}, {CHANNELS[name]}]"

    return {
        "name": "CTSDG image inpainting, by keras-ctsdg",
        "version": version("keras-ctsdg"),
        "format": plan.format,
        "inputs": f"image: {plan.image_dtype} {shape('image')}, RGB, {levels}; "
        f"mask: {plan.image_dtype} {shape('mask')}, 0 keeps a pixel, any other value "
        "marks the hole",
        "outputs": f"filled: {plan.image_dtype} {shape('filled')}, RGB, {levels}, "
        "equal to image outside the hole; "
        f"edge: uint8 {shape('edge')}, the Canny edges that the network saw, 0 or 1",
        "height": str(height),
        "width": str(width),
        "image_dtype": plan.image_dtype,
        "dtype": plan.dtype,
        "edges": model.edges,
        "sigma": str(model.sigma),
        "upsampling": model.generator.upsampling,
        "filters": str(model.generator.filters),
        "weights_sha256": hash_weights(model.generator),
        "license": "unknown",
        **{key: str(value) for key, value in (further or {}).items()},
    }


def describe_sizes(plan):
    """Return the height and width of a file's images, as two words for a reader."""
    return plan.size or ("any", "any")


def hash_weights(network):
    """Return the SHA-256 of a network's weights, the same on every backend."""
    digest = hashlib.sha256()
    for variable in network.variables:
        digest.update(keras.ops.convert_to_numpy(variable.value).tobytes())
    return digest.hexdigest()
