"""The MindSpore port at full width, compared with its numbers."""

import keras_ctsdg
from keras_ctsdg.checkpoints.name_maps import (
    discriminator_names,
    generator_names,
    mindspore_names,
)
from tests.checkpoint_writers import write_mindspore
from tests.common import assert_close
from tests.golden.seeded_weights import state_dict
from tests.golden_files import read_case, read_golden
from tests.processes import convert_by_command


def test_converted_checkpoints_fill_as_the_original(monkeypatch, tmp_path):
    """Convert both checkpoints of the port by the command and load them by name."""
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(tmp_path))
    for part, names in (
        ("generator", generator_names()),
        ("discriminator", discriminator_names()),
    ):
        values = state_dict(part)
        state = {port: values[name] for port, name in mindspore_names(names).items()}
        write_mindspore(tmp_path / f"{part}_000350.ckpt", state, largest=2**24)
    convert_by_command(tmp_path / "generator_000350.ckpt", "port")
    generator = keras_ctsdg.from_preset("port").generator
    numbers = read_golden("mindspore_s0_1x128x256_inference.npz")
    _, inputs = read_case("s0_1x128x256")
    outputs = generator.predict_on_batch(inputs)
    assert_close(outputs["image"], numbers["output"], atol=3e-4)
    for name in ("projected_image", "projected_edge"):
        assert_close(outputs[name], numbers[name], atol=1e-5)
