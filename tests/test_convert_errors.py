"""Checkpoints that cannot be converted, and what is said about them."""

import traceback

import numpy as np
import pytest

from keras_ctsdg.checkpoints.name_maps import generator_names
from keras_ctsdg.convert import convert_checkpoint
from keras_ctsdg.models import Generator
from tests.checkpoint_writers import random_source_state, write_torch

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def states():
    generator = Generator(filters=8)
    return {"generator": random_source_state(generator, generator_names())}


class Hostile:
    def __reduce__(self):
        return eval, ("open('stolen', 'w').write('x')",)


def hostile(path, states):
    write_torch(path, generator={"ec_texture_1.conv.weight": Hostile()})


def truncated(path, states):
    path.write_bytes(write_torch(path, **states).read_bytes()[:-20_000])


def another_network(path, states):
    write_torch(path, generator={"features.0.weight": np.zeros((64, 3, 3, 3))})


def web_page(path, states):
    path.write_text("\n<!DOCTYPE html><title>Quota exceeded</title>")


def lfs_pointer(path, states):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12")


def empty(path, states):
    path.touch()


def without_dicts(path, states):
    write_torch(path, generator=np.zeros(3))


def not_finite(path, states):
    broken = {"bigff.texture_gamma": np.full(1, np.nan, "float32")}
    write_torch(path, generator=states["generator"] | broken)


def incomplete(path, states):
    generator = dict(states["generator"])
    del generator["out_layer.0.bias"]
    write_torch(path, generator=generator | {"surplus": np.zeros(3)})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            hostile,
            "code in it is not run. .*bad.pt, which holds more: .*eval",
        ),
        (web_page, "it is a web page.*quota.*Received: .*bad.pt"),
        (lfs_pointer, "it is a pointer of Git LFS.*Received: .*bad.pt"),
        (empty, "it is empty.*Received: .*bad.pt"),
        (truncated, "must be complete .*Received: .*bad.pt"),
        (another_network, "(?s)missing: ec_texture_1.*unexpected: features.0.weight"),
        (without_dicts, "authors' state dicts. Received: .*'generator': 'ndarray'"),
        (not_finite, "not finite: bigff.texture_gamma"),
        (incomplete, "(?s)missing: out_layer.0.bias.*unexpected: surplus"),
    ],
)
def test_bad_files_are_rejected_and_nothing_is_written(
    write, message, states, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "bad.pt", states)
    with pytest.raises(ValueError, match=message) as error:
        convert_checkpoint(tmp_path / "bad.pt", tmp_path / "out")
    # PyTorch's own error advises to run the code.
    assert "weights_only" not in "".join(traceback.format_exception(error.value))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.pt"]


def test_wide_first_layer_of_a_small_file_is_not_allocated(states, tmp_path):
    wide = {"ec_texture_1.conv.weight": np.zeros((20_000, 3, 7, 7), "float32")}
    source = write_torch(tmp_path / "wide.pt", generator=states["generator"] | wide)
    with pytest.raises(ValueError, match="misshapen: ec_texture_1.conv.weight"):
        convert_checkpoint(source, tmp_path / "out")


def test_too_large_archives_are_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_ctsdg.checkpoints.torch_reader.MAX_BYTES", 1000)
    source = write_torch(tmp_path / "large.pt", x=np.zeros(1000))
    with pytest.raises(ValueError, match="must unpack to less than .*Received: "):
        convert_checkpoint(source, tmp_path / "out")
