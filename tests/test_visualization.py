import numpy as np

from keras_ctsdg.visualization import draw_sheet, to_bytes


def test_bytes_by_hand():
    levels = to_bytes(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(levels, [0, 0, 128, 255, 255])


def columns():
    values = {"black": -1.0, "gray": 0.0, "white": 1.0}
    return {name: np.full((2, 16, 16, 3), value) for name, value in values.items()}


def test_sheet_shows_the_pictures_in_their_places():
    sheet = np.asarray(draw_sheet(columns()))
    assert sheet.shape == (2 * 24 + 20, 3 * 24 + 8, 3)
    for i, level in enumerate((0, 128, 255)):
        left = 8 + i * 24
        assert (sheet[20:36, left : left + 16] == level).all()
        assert (sheet[44:60, left : left + 16] == level).all()


def test_captions_stand_above_their_rows():
    sheet = np.asarray(draw_sheet(columns(), ["first", "second"]))
    assert sheet.shape == (2 * 44 + 20, 3 * 24 + 8, 3)
    for top in (20, 64):
        assert (sheet[top : top + 20] < 100).any()
        assert (sheet[top + 20 : top + 36, 8:24] == 0).all()
