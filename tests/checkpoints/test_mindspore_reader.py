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
from tests.common import GOLDEN, write_mindspore
from tests.golden.seeded_weights import MANIFEST, tensor

SAMPLE = GOLDEN / "mindspore_sample.ckpt"


def test_a_real_file():
    """A few of both networks' tensors, written by MindSpore with seed-0 weights."""
    names = mindspore_names(generator_names()) | mindspore_names(discriminator_names())
    shapes = MANIFEST["generator"] | MANIFEST["discriminator"]
    state = read_mindspore(SAMPLE)
    assert len(state) == 26
    for name, value in state.items():
        original = names[name]
        expected = tensor(original, tuple(shapes[original]), seed=0)
        assert value.dtype == "float32"
        np.testing.assert_array_equal(value, expected)


def test_what_is_written_is_read(tmp_path):
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


def test_damaged_files_are_refused(tmp_path):
    damaged = tmp_path / "damaged.ckpt"
    content = SAMPLE.read_bytes()
    for part in (content[:-50_000], b"\x0a\xff" + content, b"no checkpoint"):
        damaged.write_bytes(part)
        with pytest.raises(ValueError, match="Received: .*damaged.ckpt"):
            read_mindspore(damaged)
    # Whole messages, of which a part is not there.
    pieces = {"tensor": np.zeros(1000, "float32")}
    whole = write_mindspore(damaged, pieces, largest=2000).read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="must hold 4000 bytes .*Received: 2000"):
        read_mindspore(damaged)
    write_mindspore(damaged, {"x": np.zeros(1, "complex64")})
    with pytest.raises(ValueError, match="Received: 'Complex64'"):
        read_mindspore(damaged)


def test_a_file_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr("keras_ctsdg.checkpoints.mindspore_reader.MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="Received: .*612910 bytes"):
        read_mindspore(SAMPLE)


def test_parts(tmp_path):
    column = {"texture_branch.conv5.weight_u": np.ones((4, 1), "float32")}
    write_mindspore(tmp_path / "discriminator_000100.ckpt", column)
    with pytest.raises(ValueError, match="no .*generator_000100.ckpt"):
        read_mindspore_parts(tmp_path / "discriminator_000100.ckpt")
    unknown = {"ec_texture_layers.0.conv.conv.weight": np.ones(2), "lr": np.ones(1)}
    generator = write_mindspore(tmp_path / "generator_000100.ckpt", unknown)
    parts, step = read_mindspore_parts(generator)
    assert set(parts["generator"]) == {"ec_texture_1.conv.weight", "lr"}
    assert parts["discriminator"]["texture_branch.conv5.0.weight_u"].shape == (4,)
    assert step == 100
    alone = write_mindspore(tmp_path / "ours.ckpt", unknown)
    assert read_mindspore_parts(alone)[1] is None
