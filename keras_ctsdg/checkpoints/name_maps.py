"""Name maps from each kind of checkpoint to the paths of our variables."""

import re

from keras_ctsdg.conventions import NUM_LEVELS

_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_CONV = {"weight": "kernel", "bias": "bias"}
_SPECTRAL = {"weight_orig": "kernel", "weight_u": "u", "weight_v": "v"}


# What modules that wrap a network put before the names of its tensors: those of data
# parallelism and of `torch.compile`.
WRAPPERS = ("module.", "_orig_mod.")


def strip_wrappers(state):
    """Remove from all names of a state dict what wrapping modules put before them.

    Args:
        state: Dict of PyTorch's names and arrays.

    Returns:
        Dict, the same one if its names do not all start with a wrapper's.
    """
    for prefix in WRAPPERS:
        if state and all(str(name).startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): x for name, x in state.items()}
            return strip_wrappers(state)
    return state


def generator_names():
    """Return the map of the authors' generator: `{their name: path of ours}`."""
    names = {}
    for stream in ("texture", "structure"):
        for i in range(1, NUM_LEVELS + 1):
            theirs, ours = f"ec_{stream}_{i}", f"{stream}_encoder_{i}"
            names[f"{theirs}.conv.weight"] = f"{ours}/kernel"
            if i > 1:
                names |= _rename(f"{theirs}.bn", f"{ours}_norm", _NORM)
        for i in range(1, NUM_LEVELS + 1):
            theirs, ours = f"dc_{stream}_{i}", f"{stream}_decoder_{i}"
            names[f"{theirs}.conv.weight"] = f"{ours}/kernel"
            names |= _rename(f"{theirs}.bn", f"{ours}_norm", _NORM)
    for stream, ours in (
        ("structure", "projected_edge"),
        ("texture", "projected_image"),
    ):
        head = f"{stream}_feature_projection"
        for i in (1, 2):
            theirs = f"{head}.{stream}_resolver"
            names[f"{theirs}.conv{i}.weight"] = f"{ours}_conv_{i}/kernel"
            names |= _rename(f"{theirs}.bn{i}", f"{ours}_norm_{i}", _NORM)
        names |= _rename(f"{head}.out_layer.0", f"{ours}_logits", _CONV)
    for stream in ("structure", "texture"):
        names[f"bigff.{stream}_gamma"] = f"gated_fusion/{stream}_gamma"
        gate = f"gated_fusion/{stream}_gate"
        names |= _rename(f"bigff.{stream}_gate.0", gate, _CONV)
    scale = "contextual_aggregation/multi_scale"
    for i in range(4):
        names |= _rename(f"cfa.msfa.dilated_conv_{i}.0", f"{scale}/dilated_{i}", _CONV)
    names |= _rename("cfa.msfa.weight_calc.0", f"{scale}/weight_hidden", _CONV)
    names |= _rename("cfa.msfa.weight_calc.2", f"{scale}/weight_scores", _CONV)
    names |= _rename("fusion_layer1.0", "refinement_down", _CONV)
    names |= _rename("fusion_layer2.0", "refinement_merge", _CONV)
    names |= _rename("out_layer.0", "output_logits", _CONV)
    return names


def discriminator_names():
    """Return the map of the authors' discriminator: `{their name: path of ours}`."""
    names = {}
    for branch in ("texture", "structure"):
        for i in range(1, 6):
            theirs, ours = f"{branch}_branch.conv{i}.0", f"{branch}_conv_{i}"
            names |= _rename(theirs, ours, _SPECTRAL)
    names |= _rename("edge_detector.projection.0", "edge_conv_1", _CONV)
    names |= _rename("edge_detector.projection.1", "edge_norm_1", _NORM)
    names |= _rename("edge_detector.res_layer.0", "edge_conv_2", _CONV)
    names |= _rename("edge_detector.res_layer.1", "edge_norm_2", _NORM)
    names |= _rename("edge_detector.res_layer.3", "edge_conv_3", _CONV)
    names |= _rename("edge_detector.res_layer.4", "edge_norm_3", _NORM)
    names |= _rename("edge_detector.out_layer.0", "edge_logits", _CONV)
    return names


def vgg16_names():
    """Return the map of torchvision's VGG16: `{their name: path of ours}`.

    It covers blocks 1 to 3, which `VGG16Features` has.
    """
    convolutions = {0: (1, 1), 2: (1, 2), 5: (2, 1), 7: (2, 2)}
    convolutions |= {10: (3, 1), 12: (3, 2), 14: (3, 3)}
    names = {}
    for index, (block, i) in convolutions.items():
        names |= _rename(f"features.{index}", f"block{block}_conv{i}", _CONV)
    return names


def mindspore_names(names):
    """Return the map of the MindSpore port: `{its name: the authors' name}`.

    Args:
        names: Dict, `generator_names()` or `discriminator_names()`.
    """
    return {_mindspore_name(name, path): name for name, path in names.items()}


def rename_mindspore_state(state, names):
    """Give the tensors of the MindSpore port the authors' names and shapes.

    Args:
        state: Dict of the port's names and arrays.
        names: Dict, `generator_names()` or `discriminator_names()`.

    Returns:
        Dict of the authors' names and arrays. Unknown names are kept, so that errors
        report them as they are in the file.
    """
    names = mindspore_names(names)
    state = {names.get(name, name): value for name, value in state.items()}
    for name, value in state.items():
        # The port keeps the vectors of spectral normalization as columns.
        if name.endswith(("weight_u", "weight_v")) and value.shape[1:] == (1,):
            state[name] = value[:, 0]
    return state


def _mindspore_name(name, path):
    """Return the port's name of a tensor.

    The port keeps blocks in lists, which count from 0, and its batch normalization
    has MindSpore's names, which are those of Keras.
    """
    stem, _, leaf = name.rpartition(".")
    if path.rpartition("/")[2] in _NORM.values():
        leaf = path.rpartition("/")[2]
    block = re.fullmatch(r"([ed]c_[a-z]+)_(\d)\.(conv|bn)", stem)
    if block:
        part = {"conv": "conv.conv", "bn": "bn"}[block[3]]
        stem = f"{block[1]}_layers.{int(block[2]) - 1}.{part}"
    stem = stem.replace("dilated_conv_", "dilated_convs.")
    stem = stem.replace("_branch.conv5.0", "_branch.conv5")
    return f"{stem}.{leaf}"


def _rename(theirs, ours, leaves):
    return {f"{theirs}.{leaf}": f"{ours}/{name}" for leaf, name in leaves.items()}
