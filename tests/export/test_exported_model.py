"""An exported file fills images of any kind, in windows of its own size."""

import json
import os

import numpy as np
import pytest
from PIL import Image

import keras_ctsdg
from keras_ctsdg.export import exported_model
from keras_ctsdg.inpainting import InpaintOptions
from tests.inpainting.common import FILL_COLOR, PHOTO, random_hole

pytestmark = pytest.mark.backend_independent


class Runtime:
    """Fills holes with one color and records the sizes of its inputs."""

    def __init__(self, size=("any", "any"), image_dtype="uint8"):
        self.metadata = {
            "height": str(size[0]),
            "width": str(size[1]),
            "image_dtype": image_dtype,
            "filters": "8",
            "sigma": "2.0",
        }
        self.sizes = []
        self.holes = 0

    def __call__(self, image, mask):
        assert image.dtype == mask.dtype == self.metadata["image_dtype"]
        assert set(np.unique(mask)) <= {0, 1}
        self.sizes.append(image.shape[1:3])
        self.holes += int((mask > 0).sum())
        color = np.array(FILL_COLOR) / (1 if image.dtype == "uint8" else 255)
        return {"filled": np.where(mask > 0, color, image).astype(image.dtype)}


@pytest.fixture
def load(monkeypatch, tmp_path):
    """Load a file, through `from_preset`, whose runtime is a stand-in."""

    def load(*args):
        runtime = Runtime(*args)
        monkeypatch.setattr(exported_model, "open_file", lambda *arguments: runtime)
        path = tmp_path / "model.onnx"
        path.touch()
        return keras_ctsdg.from_preset(path), runtime

    return load


@pytest.mark.parametrize("strategy", ["auto", "full", "crop", "resize"])
@pytest.mark.parametrize("image_dtype", ["uint8", "float32"])
def test_fills_at_any_size(load, strategy, image_dtype):
    model, runtime = load(("any", "any"), image_dtype)
    image, hole = PHOTO[:200, :300], random_hole(200, 300, 1)
    filled = model.inpaint(image, hole, strategy=strategy, size=256)
    np.testing.assert_array_equal(filled[~hole], image[~hole])
    # Resizing mixes colors at the rim.
    tolerance = 40 if max(runtime.sizes) < (256, 384) else 1
    assert np.abs(filled[hole].astype(int) - FILL_COLOR).max() <= tolerance
    assert all(x % 128 == 0 for size in runtime.sizes for x in size)


@pytest.mark.parametrize(
    ("size", "shape"),
    [((128, 128), (500, 400)), ((256, 256), (300, 700)), ((512, 384), (512, 512))],
)
def test_windows_of_its_own_size(load, size, shape):
    model, runtime = load(size)
    image = PHOTO[: shape[0], : shape[1]]
    image = np.pad(image, [(0, shape[i] - image.shape[i]) for i in (0, 1)] + [(0, 0)])
    hole = np.zeros(shape, bool)
    hole[20:60, 30:90] = hole[-50:-20, -200:-30] = True
    filled = model.inpaint(image, hole)
    np.testing.assert_array_equal(filled[~hole], image[~hole])
    tolerance = 40 if size == (128, 128) else 1
    assert np.abs(filled[hole].astype(int) - FILL_COLOR).max() <= tolerance
    assert set(runtime.sizes) == {size}


def test_a_window_shows_all_that_the_file_takes(load):
    model, runtime = load((512, 512))
    hole = np.zeros((512, 512), bool)
    hole[40:60, 30:90] = True
    model.inpaint(PHOTO, hole, strategy="crop")
    # A crop of 256 pixels, mirrored to 512, would show the hole four times.
    assert runtime.sizes == [(512, 512)] and runtime.holes == hole.sum()


def test_smaller_images_are_mirrored(load):
    model, runtime = load((256, 256))
    hole = random_hole(90, 70, 0)
    filled = model.inpaint(PHOTO[:90, :70], hole, strategy="full")
    assert runtime.sizes == [(256, 256)]
    np.testing.assert_array_equal(filled[~hole], PHOTO[:90, :70][~hole])


def test_errors_name_the_size(load):
    model, _ = load((256, 256))
    hole = np.zeros((512, 512), bool)
    hole[50:400, 60:450] = True
    for strategy, needed in (("full", "512 x 512"), ("crop", "512 x 512")):
        with pytest.raises(ValueError, match=f"{needed} .*it takes 256 x 256"):
            model.inpaint(PHOTO, hole, strategy=strategy)
    with pytest.raises(ValueError, match="384 x 384 .*Lower `size`"):
        model.inpaint(PHOTO, hole, strategy="resize")
    model.inpaint(PHOTO, hole, strategy="resize", size=256)
    batch = {"image": np.zeros((1, 128, 128, 3)), "mask": np.zeros((1, 128, 128, 1))}
    with pytest.raises(ValueError, match="256 x 256"):
        model.predict_on_batch(batch)


def test_all_options_and_kinds(load):
    model, _ = load()
    image = Image.fromarray(PHOTO[:128, :128]).convert("RGBA")
    alpha = np.full((128, 128), 255, "uint8")
    alpha[30:50, 40:70] = 0
    image.putalpha(Image.fromarray(alpha))
    filled = np.asarray(model.inpaint(image, dilate=2, feather=3, invert_mask=False))
    assert (filled[..., 3] == 255).all()
    np.testing.assert_array_equal(filled[:20], np.asarray(image)[:20])
    with pytest.raises(TypeError):
        model.inpaint(image, unknown=1)
    assert InpaintOptions().size == 384


def test_from_preset_and_the_command(load, command, tmp_path):
    load((128, 128))
    path = tmp_path / "model.onnx"
    with pytest.raises(ValueError, match="must be `None`.*dtype='float16'"):
        keras_ctsdg.from_preset(path, dtype="float16")
    Image.fromarray(PHOTO[:150, :200]).save(tmp_path / "a.png")
    hole = random_hole(150, 200, 0)
    Image.fromarray(hole).save(tmp_path / "mask.png")
    code, stdout, stderr = command(
        "inpaint",
        path,
        "--image",
        tmp_path / "a.png",
        "--mask",
        tmp_path / "mask.png",
        "--out",
        tmp_path / "out.png",
        "--json",
    )
    assert code == 0, stderr
    assert json.loads(stdout)["filled"] == [os.fspath(tmp_path / "a.png")]
    filled = np.asarray(Image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(filled[~hole], PHOTO[:150, :200][~hole])


def test_files_that_are_no_exports(tmp_path):
    with pytest.raises(ValueError, match="exported file"):
        keras_ctsdg.from_preset(tmp_path / "missing.onnx")
    path = tmp_path / "damaged.pt2"
    path.write_text("not a program")
    with pytest.raises(ValueError, match="cannot be loaded by torch.*damaged.pt2"):
        keras_ctsdg.from_preset(path)


def test_without_the_runtime(tmp_path, monkeypatch):
    from keras_ctsdg.export import runtimes

    monkeypatch.setattr(runtimes, "has_runtime", lambda format: False)
    (tmp_path / "a.tflite").touch()
    with pytest.raises(ImportError, match=r'pip install "keras-ctsdg\[litert\]"'):
        keras_ctsdg.from_preset(tmp_path / "a.tflite")


def test_only_fills(load):
    model, _ = load()
    for name in ("compile", "fit", "export", "save_to_preset"):
        assert not hasattr(model, name)
        with pytest.raises(AttributeError, match=f"no `{name}`: train and export"):
            getattr(model, name)


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite", "saved", "page"])
def test_commands_that_need_the_networks_refuse_it(command, tmp_path, name):
    path = tmp_path / name
    if path.suffix:
        path.touch()
    else:
        path.mkdir()
        mark = "saved_model.pb" if name == "saved" else "keras_ctsdg.json"
        (path / mark).touch()
    train = "train", "--images", tmp_path, "--out", tmp_path / "out"
    for arguments, received in (
        (("export", path, tmp_path / "b.onnx"), "PRESET"),
        ((*train, "--from", path), "--from"),
    ):
        code, _, stderr = command(*arguments)
        assert code == 1 and "train and export the preset or the `.keras`" in stderr
        assert stderr.strip().endswith(f"Received: {received} {path}")
    assert not (tmp_path / "out").exists()
