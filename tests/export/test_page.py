"""The page in a real browser, with a stand-in for the network and ONNX Runtime Web."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from keras_ctsdg.export.formats import plan_export
from keras_ctsdg.export.web import folder, npm_package, write_page
from keras_ctsdg.inpainting.windows import MemoryLimit, plan_windows
from tests.demo.browser import fill, needs_chromium, paint
from tests.export.web import (
    download,
    open_own_page,
    open_photo,
    read_strokes,
    serve,
    write_package,
)
from tests.inpainting.common import PHOTO

pytestmark = [
    pytest.mark.backend_independent,
    needs_chromium,
]


def write_model(graph, plan, path, metadata):
    path.write_bytes(b"model")


def build_page(root, gpu_fault=""):
    """Write a page whose network is a stand-in; return its folder."""
    package = write_package(root / "package", gpu_fault=gpu_fault)
    plan = plan_export(root / "page", "web", npm_package=package)
    with pytest.MonkeyPatch.context() as patch:
        for name in npm_package.LICENSE_FILES:
            (root / name).touch()
        patch.setattr(npm_package, "files", lambda name: root)
        patch.setattr(folder, "write_onnx", write_model)
        write_page(None, plan, plan.path, {"height": "256", "width": "256"})
    return plan.path


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page in the browser; the test fails if another machine is contacted."""
    with open_own_page(build_page(tmp_path_factory.mktemp("web"))) as page:
        yield page


def fill_and_compare(page, photo):
    """Fill what is painted; return the hole and the filled photo."""
    fill(page)
    _, found = download(page)
    assert found.shape == photo.shape
    hole = read_strokes(page)
    # All pixels outside the hole keep their values bit for bit.
    np.testing.assert_array_equal(found[~hole], photo[~hole])
    assert (found[hole] != photo[hole]).any(-1).mean() > 0.99
    return hole, found


def test_small_photo_is_mirrored(page, tmp_path):
    photo = PHOTO[:150, :200]
    Image.fromarray(photo).save(tmp_path / "small.png")
    open_photo(page, tmp_path / "small.png")
    paint(page, (0.3, 0.3), (0.6, 0.5))
    hole, found = fill_and_compare(page, photo)
    rows, columns = np.nonzero(hole)
    assert len(rows) > 300
    np.testing.assert_array_equal(found[hole][:, 0], rows)
    np.testing.assert_array_equal(found[hole][:, 1], columns)


def test_windows_are_those_of_inpaint(page, tmp_path):
    """Two holes far from each other, and a scratch too long for a window."""
    photo = np.tile(PHOTO, (1, 2, 1))[:, :900]
    Image.fromarray(photo).save(tmp_path / "large.png")
    open_photo(page, tmp_path / "large.png")
    paint(page, (0.05, 0.1), (0.1, 0.1))
    paint(page, (0.2, 0.8), (0.9, 0.85))
    hole, found = fill_and_compare(page, photo)
    network = SimpleNamespace(
        image_shape=(256, 256, 3), estimate_memory=lambda height, width: 0.1
    )
    windows = plan_windows(hole, "auto", 384, MemoryLimit(1, network))
    assert len(windows) > 3
    unfilled = hole.copy()
    for window in windows:
        top, left, bottom, right = window.region
        inside = np.zeros_like(hole)
        inside[top:bottom, left:right] = unfilled[top:bottom, left:right]
        unfilled &= ~inside
        rows, columns = np.nonzero(inside)
        np.testing.assert_array_equal(found[inside][:, 0], rows - window.box[0])
        np.testing.assert_array_equal(found[inside][:, 1], columns - window.box[1])
    assert not unfilled.any()


def test_a_large_hole_is_filled_at_a_lower_resolution(page, tmp_path):
    photo = np.asarray(Image.fromarray(PHOTO).resize((700, 700)))
    Image.fromarray(photo).save(tmp_path / "huge.png")
    open_photo(page, tmp_path / "huge.png")
    page.get_by_role("slider").fill("120")
    for y in np.linspace(0.3, 0.7, 4):
        paint(page, (0.3, y), (0.7, y))
    hole, found = fill_and_compare(page, photo)
    page.get_by_role("slider").fill("32")
    # Pixels at the rim lie between the fill and the photo.
    inside = ndimage.binary_erosion(hole, iterations=8)
    assert inside.sum() > 20_000
    for axis, position in enumerate(np.nonzero(inside)):
        values = found[inside][:, axis].astype(float)
        # The hole with a quarter on each side of it takes the whole photo.
        slope, start = np.polyfit(position, values, 1)
        assert abs(slope - 256 / 700) < 0.005 and -2 < start < 1
        assert np.abs(values - slope * position - start).max() < 1


def test_partly_transparent_pixels_keep_their_colors(page, tmp_path):
    rng = np.random.default_rng(0)
    photo = rng.integers(8, 255, (120, 160, 4), "uint8")
    photo[:60, :, 3] = 255
    photo[-1, :, 3] = 0
    Image.fromarray(photo).save(tmp_path / "alpha.png")
    open_photo(page, tmp_path / "alpha.png")
    paint(page, (0.3, 0.3), (0.6, 0.5))
    hole, found = fill_and_compare(page, photo)
    assert hole.sum() > 100
    np.testing.assert_array_equal(found[..., 3], photo[..., 3])


def test_brush_by_keyboard_eraser_and_undo(page, tmp_path):
    photo = PHOTO[:256, :256]
    Image.fromarray(photo).save(tmp_path / "photo.v2.png")
    open_photo(page, tmp_path / "photo.v2.png")
    canvas = page.get_by_role("application")
    canvas.focus()
    page.keyboard.press("Space")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    paint(page, (0.1, 0.1), (0.2, 0.2))
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Eraser").click()
    paint(page, (0.4, 0.5), (0.52, 0.5))
    page.get_by_role("button", name="Eraser").click()
    hole, _ = fill_and_compare(page, photo)
    rows, columns = np.nonzero(hole)
    assert rows.min() > 110 and rows.max() < 146
    assert 128 < columns.min() and columns.max() < 170
    name, first = download(page)
    assert name == "photo.v2_filled.png"
    # The result is the next photo, under a name that does not grow.
    page.get_by_role("button", name="Go on with this result").click()
    page.get_by_text("photo.v2_filled.png, 256").wait_for()
    page.get_by_text("then press Fill").wait_for()
    page.wait_for_timeout(200)
    paint(page, (0.1, 0.8), (0.2, 0.8))
    fill(page)
    name, second = download(page)
    assert name == "photo.v2_filled.png"
    np.testing.assert_array_equal(second[:150], first[:150])
    assert (second != first).any()


def test_orientation_is_applied(page, tmp_path):
    photo = Image.fromarray(PHOTO[:100, :150])
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.save(tmp_path / "turned.png", exif=exif)
    open_photo(page, tmp_path / "turned.png")
    paint(page, (0.3, 0.3), (0.4, 0.4))
    upright = np.asarray(photo.transpose(Image.Transpose.ROTATE_270))
    hole, _ = fill_and_compare(page, upright)
    assert hole.any()


def test_errors_are_shown(page, tmp_path):
    error = page.locator("#status.error")
    (tmp_path / "text.png").write_text("not an image")
    page.locator("input[type=file]").set_input_files(tmp_path / "text.png")
    error.filter(has_text="text.png cannot be read as an image").wait_for()
    file = io.BytesIO()
    Image.fromarray(PHOTO[:64, :64]).save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue())
    open_photo(page, tmp_path / "a.png")
    page.get_by_role("button", name="3. Fill").click()
    error.filter(has_text="There is no hole yet").wait_for()
    page.get_by_role("slider").fill("120")
    for y in np.linspace(0.02, 0.98, 9):
        paint(page, (0.02, y), (0.98, y))
    page.get_by_role("button", name="3. Fill").click()
    error.filter(has_text="Leave a part of the photo unpainted").wait_for()
    page.get_by_role("slider").fill("32")


BLOCKED = """
    async (url) => {
      const blocked = new Promise((resolve) =>
        document.addEventListener("securitypolicyviolation", (event) =>
          resolve(event.blockedURI)));
      fetch(url).catch(() => {});
      return await blocked;
    }
"""


def test_policy_blocks_other_sites(page):
    # The fixture's list of requests holds blocked ones, too.
    other = page.context.browser.new_page()
    other.goto(page.url)
    assert other.evaluate(BLOCKED, "http://127.0.0.2/a").startswith("http://127.0.0.2")
    other.close()


GPU = """
    const info = { isFallbackAdapter: %s };
    const gpu = { requestAdapter: async () => ({ info }) };
    Object.defineProperty(navigator, "gpu", { value: gpu });
"""


@pytest.mark.parametrize(
    ("fault", "is_fallback", "device"),
    [
        ("", "false", "GPU"),
        ("", "true", "CPU"),
        ("filled.forEach((x, i) => { filled[i] = x + 9; });", "false", "CPU"),
        ("throw Error('The device was lost.');", "false", "CPU"),
        ("await new Promise(() => {});", "false", "CPU"),
    ],
)
def test_gpu_is_used_if_it_fills_as_the_cpu_does(
    page, tmp_path, fault, is_fallback, device
):
    Image.fromarray(PHOTO[:200, :256]).save(tmp_path / "photo.png")
    page = page.context.browser.new_page()
    page.add_init_script(GPU % is_fallback)
    page.clock.install()
    with serve(build_page(tmp_path, fault)) as address:
        page.goto(address)
        open_photo(page, tmp_path / "photo.png")
        page.wait_for_timeout(500)
        # A GPU that does not answer for a minute is given up.
        page.clock.fast_forward(61_000)
        paint(page, (0.3, 0.3), (0.6, 0.5))
        hole, found = fill_and_compare(page, PHOTO[:200, :256])
        assert f"on the {device};" in page.locator("#status").inner_text()
        page.close()
    np.testing.assert_array_equal(found[hole][:, 1], np.nonzero(hole)[1])
