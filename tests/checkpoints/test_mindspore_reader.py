import numpy as np
import pytest

from keras_ctsdg.checkpoints.mindspore_reader import (
    read_mindspore,
    read_mindspore_parts,
)
from keras_ctsdg.checkpoints.name_maps import (
    discriminator_names,
    generator_names,
    mindspore_names,
)
from tests.checkpoint_writers import write_mindspore
from tests.golden.seeded_weights import MANIFEST, tensor
from tests.golden_files import GOLDEN

pytestmark = pytest.mark.backend_independent

SAMPLE = GOLDEN / "mindspore_sample.ckpt"


def test_reads_a_file_written_by_mindspore():
    """The file holds some tensors of both networks, with seed-0 weights."""
    names = mindspore_names(generator_names()) | mindspore_names(discriminator_names())
    shapes = MANIFEST["generator"] | MANIFEST["discriminator"]
    state = read_mindspore(SAMPLE)
    assert len(state) == 26
    for name, value in state.items():
        original = names[name]
        expected = tensor(original, tuple(shapes[original]), seed=0)
        assert value.dtype == "float32"
        np.testing.assert_array_equal(value, expected)


def test_reads_what_was_written(tmp_path):
    rng = np.random.default_rng(0)
    state = {
        "whole": rng.normal(size=(3, 4)).astype("float32"),
        "in.pieces": rng.normal(size=(70, 5, 3, 3)).astype("float32"),
        "half": np.ones(3, "float16"),
        "step": np.array(350000, "int64"),
    }
    read = read_mindspore(write_mindspore(tmp_path / "a.ckpt", state, largest=1000))
    assert set(read) == set(state)
    for name, value in state.items():
        assert read[name].dtype == value.dtype
        np.testing.assert_array_equal(read[name], value)


def test_damaged_files_are_rejected(tmp_path):
    damaged = tmp_path / "damaged.ckpt"
    content = SAMPLE.read_bytes()
    for part in (content[:-50_000], b"\x0a\xff" + content, b"no checkpoint"):
        damaged.write_bytes(part)
        with pytest.raises(ValueError, match="Received: .*damaged.ckpt"):
            read_mindspore(damaged)
    # All messages are complete, but the second piece of the tensor is missing.
    state = {"tensor": np.zeros(1000, "float32")}
    content = write_mindspore(damaged, state, largest=2000).read_bytes()
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="must hold 4000 bytes .*Received: 2000"):
        read_mindspore(damaged)
    write_mindspore(damaged, {"x": np.zeros(1, "complex64")})
    with pytest.raises(ValueError, match="Received: 'Complex64'"):
        read_mindspore(damaged)


def test_too_large_files_are_rejected(monkeypatch):
    monkeypatch.setattr("keras_ctsdg.checkpoints.mindspore_reader.MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="Received: .*612910 bytes"):
        read_mindspore(SAMPLE)


def test_reads_both_networks_and_the_step(tmp_path):
    column = {"texture_branch.conv5.weight_u": np.ones((4, 1), "float32")}
    write_mindspore(tmp_path / "discriminator_000100.ckpt", column)
    with pytest.raises(ValueError, match="no .*generator_000100.ckpt"):
        read_mindspore_parts(tmp_path / "discriminator_000100.ckpt")
    state = {"ec_texture_layers.0.conv.conv.weight": np.ones(2), "lr": np.ones(1)}
    generator = write_mindspore(tmp_path / "generator_000100.ckpt", state)
    parts, step = read_mindspore_parts(generator)
    assert set(parts["generator"]) == set(state)
    assert parts["discriminator"]["texture_branch.conv5.weight_u"].shape == (4, 1)
    assert step == 100
    alone = write_mindspore(tmp_path / "ours.ckpt", state)
    assert read_mindspore_parts(alone)[1] is None
