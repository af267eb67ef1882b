"""The graph of exported files, run by Keras, fills as `inpaint` does."""

import keras
import numpy as np
import pytest

import keras_ctsdg
from keras_ctsdg.export.check import sample_input
from keras_ctsdg.export.graph import FillImage
from tests.common import slow_if, to_numpy


# No file is written on JAX, which compiles each operation of this for a minute.
@slow_if(keras.backend.backend() == "jax")
@pytest.mark.parametrize(
    ("edges", "image_dtype", "size"),
    [("clean", "uint8", (128, 128)), ("wrapped", "float32", (100, 130))],
)
def test_fills_as_the_model_does(small_model, edges, image_dtype, size):
    model = keras_ctsdg.CTSDG(small_model.generator, edges=edges)
    image, mask = sample_input(0, size, image_dtype)
    outputs = to_numpy(FillImage(model, image_dtype)({"image": image, "mask": mask}))
    filled, edge = outputs["filled"], outputs["edge"]
    assert filled.dtype == image_dtype and edge.dtype == "uint8"
    hole = mask[0, ..., 0] > 0
    np.testing.assert_array_equal(filled[0][~hole], image[0][~hole])
    expected = model.inpaint(image[0], mask[0], strategy="full")
    difference = np.abs(filled[0].astype("float64") - expected)
    # Levels next to a half may be rounded either way.
    tolerance, share = (1, 1e-3) if image_dtype == "uint8" else (1e-4, 0)
    assert difference.max() <= tolerance
    assert (difference > 1e-4).mean() <= share
    levels = image[0] / (255 if image_dtype == "uint8" else 1) * 2 - 1
    _, structure = keras_ctsdg.data.gray_and_edge(levels, edges, 2.0, hole)
    assert (edge[0] != structure).mean() < 1e-3
    assert structure.any()


@pytest.mark.backend_independent
def test_any_value_but_0_marks_the_hole(small_model):
    graph = FillImage(small_model)
    image, mask = sample_input(1, (128, 128), "uint8")
    batch = {"image": np.concatenate([image, image])}
    batch["mask"] = np.concatenate([mask, mask * 255])
    filled = to_numpy(graph(batch))["filled"]
    np.testing.assert_array_equal(filled[0], filled[1])
    assert (filled != batch["image"]).any()
    # What the hole hides does not matter.
    changed = np.where(batch["mask"] > 0, 255 - batch["image"], batch["image"])
    again = to_numpy(graph({**batch, "image": changed}))["filled"]
    np.testing.assert_array_equal(again, filled)


def test_the_discriminator_is_not_in_the_graph(small_model):
    count = len(FillImage(small_model).variables)
    assert count == len(small_model.generator.variables)


@pytest.mark.backend_independent
def test_small_sides_are_mirrored_as_numpy_does():
    from keras_ctsdg.export.graph import _pad

    for height, width in ((1, 2), (5, 128), (129, 70)):
        x = np.arange(height * width, dtype="float32").reshape(1, height, width, 1)
        below, right = -height % 128, -width % 128
        expected = np.pad(x, ((0, 0), (0, below), (0, right), (0, 0)), "reflect")
        found = to_numpy(_pad(keras.ops.convert_to_tensor(x), height, width))
        np.testing.assert_array_equal(found, expected)
