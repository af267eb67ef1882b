"""Which tensor of a source is which of our variables: one explicit map a source."""

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


def generator_names():
    """The authors' generator: `{their name: path of our variable}`."""
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
    """The authors' discriminator: `{their name: path of our variable}`."""
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
    """torchvision's VGG16 up to block 3: `{their name: path of our variable}`."""
    places = {0: (1, 1), 2: (1, 2), 5: (2, 1), 7: (2, 2)}
    places |= {10: (3, 1), 12: (3, 2), 14: (3, 3)}
    names = {}
    for index, (block, i) in places.items():
        names |= _rename(f"features.{index}", f"block{block}_conv{i}", _CONV)
    return names


def mindspore_names(names):
    """The MindSpore port's names: `{its name: the authors' name}`.

    Args:
        names: Dict, `generator_names()` or `discriminator_names()`.
    """
    return {_mindspore_name(name, path): name for name, path in names.items()}


def _mindspore_name(name, path):
    """The port counts blocks from 0 in lists, and has MindSpore's batch norm."""
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
