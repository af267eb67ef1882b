"""Parts of an OpenVINO file that stay in float32 under half precision."""

from xml.etree import ElementTree

# The attribute by which OpenVINO marks a node that half precision would spoil.
ATTRIBUTE = {"name": "precise", "version": "0"}


def keep_precise(path, output):
    """Mark everything that an output is computed from.

    OpenVINO computes in bfloat16 on CPUs that have it, and in float16 on GPUs, unless
    it is told otherwise.

    Args:
        path: `pathlib.Path` of the XML file, which is changed.
        output: Str, the name of the output.
    """
    tree = ElementTree.parse(path)
    network = tree.getroot()
    layers = {layer.get("id"): layer for layer in network.iterfind("layers/layer")}
    sources = {}
    for edge in network.iterfind("edges/edge"):
        sources.setdefault(edge.get("to-layer"), []).append(edge.get("from-layer"))
    pending = [
        key
        for key, layer in layers.items()
        if layer.get("type") == "Result" and layer.get("name") == output
    ]
    found = set(pending)
    while pending:
        new = set(sources.get(pending.pop(), ())) - found
        found |= new
        pending += new
    for key in found:
        # A loop holds layers of its own.
        for layer in layers[key].iter("layer"):
            _mark(layer)
    tree.write(path, encoding="utf-8", xml_declaration=True)


def _mark(layer):
    info = layer.find("rt_info")
    if info is None:
        info = ElementTree.Element("rt_info")
        # OpenVINO's order: data, rt_info, input, output.
        layer.insert(int(layer.find("data") is not None), info)
    ElementTree.SubElement(info, "attribute", ATTRIBUTE)
