import numpy as np
import pytest

from keras_ctsdg.visualization import comparison_columns, draw_grid, image_to_uint8

pytestmark = pytest.mark.backend_independent


def test_image_to_uint8_by_hand():
    levels = image_to_uint8(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(levels, [0, 0, 128, 255, 255])


def columns():
    values = {"black": -1.0, "gray": 0.0, "white": 1.0}
    return {name: np.full((2, 16, 16, 3), value) for name, value in values.items()}


def test_grid_has_images_in_rows_and_columns():
    grid = np.asarray(draw_grid(columns()))
    assert grid.shape == (2 * 24 + 20, 3 * 24 + 8, 3)
    for i, level in enumerate((0, 128, 255)):
        left = 8 + i * 24
        assert (grid[20:36, left : left + 16] == level).all()
        assert (grid[44:60, left : left + 16] == level).all()


def test_captions_are_above_their_rows():
    grid = np.asarray(draw_grid(columns(), ["first", "second"]))
    assert grid.shape == (2 * 44 + 20, 3 * 24 + 8, 3)
    for top in (20, 64):
        assert (grid[top : top + 20] < 100).any()
        assert (grid[top + 20 : top + 36, 8:24] == 0).all()


def test_comparison_columns():
    image = np.full((1, 2, 2, 3), 0.5)
    mask = np.array([1.0, 0.0, 0.0, 1.0]).reshape(1, 2, 2, 1)
    columns = comparison_columns({"image": image, "mask": mask}, 2 * image)
    assert list(columns) == ["masked", "filled", "target"]
    np.testing.assert_array_equal(columns["masked"], image * (1 - mask))
    np.testing.assert_array_equal(columns["filled"], 2 * image)
    np.testing.assert_array_equal(columns["target"], image)
