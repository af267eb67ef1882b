from xml.etree import ElementTree

import pytest

from keras_ctsdg.export.openvino_precision import keep_precise

pytestmark = pytest.mark.backend_independent

# A network that computes `edge` from the image by a loop, and `filled` from both.
NETWORK = """<net name="a" version="11"><layers>
<layer id="0" name="image" type="Parameter"><data shape="?"/><output/></layer>
<layer id="1" name="gray" type="Multiply"><rt_info>
<attribute name="old_api" version="0"/></rt_info><input/><output/></layer>
<layer id="2" name="hysteresis" type="Loop"><input/><output/>
<body><layers><layer id="0" name="pool" type="MaxPool"><data/><input/></layer></layers>
</body></layer>
<layer id="3" name="edge" type="Result"><input/></layer>
<layer id="4" name="network" type="Convolution"><data/><input/><output/></layer>
<layer id="5" name="filled" type="Result"><input/></layer>
</layers><edges>
<edge from-layer="0" to-layer="1"/><edge from-layer="1" to-layer="2"/>
<edge from-layer="2" to-layer="3"/><edge from-layer="2" to-layer="4"/>
<edge from-layer="1" to-layer="4"/><edge from-layer="4" to-layer="5"/>
</edges></net>"""


def test_marks_what_an_output_is_computed_from(tmp_path):
    path = tmp_path / "model.xml"
    path.write_text(NETWORK)
    keep_precise(path, "edge")
    layers = {x.get("name"): x for x in ElementTree.parse(path).iter("layer")}
    marks = {
        name: [x.get("name") for x in layer.findall("rt_info/attribute")]
        for name, layer in layers.items()
    }
    for name in ("image", "hysteresis", "pool", "edge"):
        assert marks[name] == ["precise"]
    assert marks["gray"] == ["old_api", "precise"]
    assert marks["network"] == marks["filled"] == []
    # OpenVINO reads the parts of a layer in this order.
    order = ["data", "rt_info", "input", "output", "body"]
    for layer in layers.values():
        tags = [order.index(x.tag) for x in layer]
        assert tags == sorted(tags)
