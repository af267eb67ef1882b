import itertools
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from keras_ctsdg.inpainting import fill as fill_module
from keras_ctsdg.inpainting.crops import RegionFinder, crop_box
from keras_ctsdg.inpainting.windows import (
    GROUP_SIZES,
    MemoryLimit,
    Window,
    choose_group_sizes,
    group_windows,
    plan_windows,
)
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


@pytest.mark.backend_independent
def test_windows_of_one_size_form_groups_within_the_limit():
    hole = np.zeros((1200, 1600), bool)
    for row in (200, 600, 1000):
        for column in (200, 600, 1000, 1400):
            hole[row : row + 40, column : column + 40] = True
    hole[600:640, 600:800] = True
    limit = MemoryLimit(3.0, StubGenerator(filters=8))
    windows = plan_windows(hole, "crop", 384, limit)
    assert len(windows) == 12
    groups = list(group_windows(windows, limit))
    assert [len(group) for group in groups] == [8, 1, 2, 1]
    assert sorted(sum(groups, [])) == sorted(windows)
    assert all(len({x.network_size for x in group}) == 1 for group in groups)
    for gigabytes, largest in ((0.37, 4), (0.36, 2), (0.1, 1)):
        groups = group_windows(windows, MemoryLimit(gigabytes, limit.generator))
        assert max(map(len, groups)) == largest


@pytest.mark.backend_independent
def test_windows_that_see_each_other_are_filled_in_order():
    limit = MemoryLimit(3.0, StubGenerator(filters=8))
    boxes = [(0, 256 * i, 256, 256 * i + 256) for i in range(5)]
    windows = [Window(box, (100, box[1] + 50, 140, box[1] + 90)) for box in boxes]
    # The second sees what the first fills, and the fifth is seen by the fourth.
    windows[1] = Window((0, 120, 256, 376), windows[1].region)
    windows[0] = Window(boxes[0], (100, 100, 140, 140))
    windows[3] = Window((0, 850, 256, 1106), (100, 870, 140, 910))
    windows[4] = Window(boxes[4], (100, 1050, 140, 1090))
    groups = list(group_windows(windows, limit))
    assert groups == [[windows[0], windows[2]], [windows[1], windows[3]], [windows[4]]]


@pytest.mark.parametrize(
    "device, is_cpu",
    [
        ("cpu", True),
        ("TFRT_CPU_0", True),
        ("/job:localhost/replica:0/task:0/device:CPU:0", True),
        ("cuda:0", False),
        ("/job:localhost/replica:0/task:0/device:GPU:0", False),
    ],
)
@pytest.mark.backend_independent
def test_groups_are_for_accelerators(device, is_cpu):
    value = SimpleNamespace(device=device)
    generator = SimpleNamespace(variables=[SimpleNamespace(value=value)])
    assert choose_group_sizes(generator) == ((1,) if is_cpu else GROUP_SIZES)


class BlurModel(ConstantModel):
    """Fills holes with what the sample at hand shows outside them."""

    def predict_on_batch(self, batch):
        self.sizes.append(batch["image"].shape)
        seen = 1 - batch["mask"]
        mean = (batch["image"] * seen).sum((1, 2), "float64") / seen.sum((1, 2))
        mean = mean[:, None, None] + 0.01 * (batch["edge"] + batch["gray"])
        return np.where(batch["mask"] > 0, np.clip(mean, -1, 1), batch["image"])


@pytest.mark.backend_independent
def test_groups_are_filled_as_one_after_the_other(monkeypatch):
    image, hole = large_photo_and_holes()
    image, hole = image[400:1000, :1400], hole[400:1000, :1400]
    hole[500:530, 100:1400:260] = True
    results, models = [], [BlurModel(), BlurModel()]
    for sizes, model in zip((GROUP_SIZES, (1,)), models, strict=True):
        monkeypatch.setattr(fill_module, "choose_group_sizes", lambda _, x=sizes: x)
        results.append(model.inpaint(image, hole, dilate=9, feather=3))
    np.testing.assert_array_equal(*results)
    assert {shape[0] for shape in models[1].sizes} == {1}
    assert len(models[0].sizes) < len(models[1].sizes)


def test_a_group_of_the_network_equals_single_windows(small_model, monkeypatch):
    # As a string, a device names its kind on every backend.
    device = str(small_model.generator.variables[0].value.device).lower()
    assert any(kind in device for kind in ("cpu", "cuda", "gpu"))
    image = large_photo_and_holes()[0][:300, :900]
    hole = np.zeros(image.shape[:2], bool)
    hole[100:130, 100:130] = hole[100:140, 600:640] = True
    results = []
    for sizes in (GROUP_SIZES, (1,)):
        monkeypatch.setattr(fill_module, "choose_group_sizes", lambda _, x=sizes: x)
        results.append(small_model.inpaint(image, hole, strategy="crop"))
    np.testing.assert_array_equal(results[0][~hole], image[~hole])
    np.testing.assert_allclose(*(x.astype("float32") for x in results), atol=1)
    assert (results[0][hole] == results[1][hole]).mean() > 0.99
    assert (results[0][hole] != image[hole]).any()


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
