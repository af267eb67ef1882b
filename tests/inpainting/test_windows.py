import itertools
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_ctsdg.inpainting.crops import RegionFinder, crop_box
from keras_ctsdg.inpainting.windows import MemoryLimit, plan_windows
from tests.inpainting.common import (
    FILL_COLOR,
    ConstantModel,
    StubGenerator,
    large_photo_and_holes,
)


@pytest.mark.backend_independent
def test_windows_of_a_large_photo():
    image, hole = large_photo_and_holes()
    model = ConstantModel()
    found = model.inpaint(image, hole)
    np.testing.assert_array_equal(found[~hole], image[~hole])
    assert max(map(max, model.sizes)) <= 384
    assert len(set(model.sizes)) <= 4
    assert 5 < len(model.sizes) < 40
    assert (found[hole] == FILL_COLOR).all(-1).mean() > 0.98
    with pytest.raises(ValueError, match="needs 1536 x 1536 pixels at once.*2000"):
        ConstantModel().inpaint(image, hole, strategy="crop")
    with pytest.raises(ValueError, match="Received: memory_limit=3.0"):
        ConstantModel().inpaint(image, hole, strategy="full")


@pytest.mark.backend_independent
def test_estimate_grows_with_the_number_of_pixels():
    limit = MemoryLimit(3.0, StubGenerator(filters=64))
    estimates = [limit.estimate((size, size)) for size in (256, 512, 1024, 2048)]
    assert estimates[2] == pytest.approx(4.3, abs=0.1)
    for small, large in itertools.pairwise(estimates[1:]):
        assert 4 < large / small < 6
    assert limit.allows((512, 768))
    assert not limit.allows((1024, 1024))


@pytest.mark.backend_independent
def test_distant_holes_are_separate_and_close_ones_merged():
    limit = MemoryLimit(3.0, StubGenerator(filters=8))
    hole = np.zeros((1000, 1000), bool)
    hole[100:110, 100:110] = hole[140:150, 260:270] = hole[800:900, 700:750] = True
    windows = plan_windows(hole, "crop", 384, limit)
    assert [w.region for w in windows] == [(100, 100, 150, 270), (800, 700, 900, 750)]
    assert [w.box for w in windows] == [(0, 0, 256, 384), (722, 597, 978, 853)]
    fitting, too_large = RegionFinder(hole, lambda size: False).find()
    assert not fitting
    assert too_large
    assert crop_box((0, 0, 300, 10), (1000, 1000)) == (0, 0, 512, 256)
    assert crop_box((0, 0, 90, 90), (100, 200)) == (0, 0, 100, 200)


@pytest.mark.backend_independent
def test_long_scratch_is_filled_once_and_completely():
    hole = np.zeros((300, 3000), bool)
    hole[150:154, 10:2990] = True
    image = np.zeros((300, 3000, 3), "uint8")
    model = ConstantModel()
    found = model.inpaint(image, hole, strategy="crop", memory_limit=0.1)
    assert len(model.sizes) > 4
    assert (found[hole] == FILL_COLOR).all()
    assert not found[~hole].any()


PEAK = """
import sys
import numpy as np
import keras_ctsdg
from keras_ctsdg.models import Discriminator, Generator
from tests._process_memory import current_memory, peak_memory
from tests.inpainting.common import large_photo_and_holes
model = keras_ctsdg.CTSDG(Generator(), Discriminator())
image, hole = large_photo_and_holes()
if sys.argv[1] == "crop":
    hole[:] = False
    hole[100:180, 200:330] = hole[1500:1620, 2000:2150] = hole[2800:3024, 40:80] = True
loaded = current_memory()
found = model.inpaint(image, hole, strategy=sys.argv[1])
assert (found[~hole] == image[~hole]).all()
print(peak_memory() - loaded)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("strategy", ["crop", "auto"])
def test_memory_for_a_large_photo(strategy):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PEAK, strategy],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    peak = float(result.stdout.split()[-1])
    print(f"{keras.backend.backend()}, {strategy}: {peak:.2f} GB above the model")
    assert peak < 3
