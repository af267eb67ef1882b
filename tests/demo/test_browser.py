import signal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import keras
import numpy as np
import pytest
from PIL import Image, ImageOps

import keras_ctsdg
from keras_ctsdg.models import Generator
from tests.demo.browser import (
    DemoProcess,
    fill,
    needs_chromium,
    open_page,
    paint,
    remove_upload,
    upload,
    wait_for_photo,
)
from tests.inpainting.common import PHOTO

pytestmark = [
    pytest.mark.backend_independent,
    needs_chromium,
]


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("preset") / "small"
    keras_ctsdg.CTSDG(Generator(filters=4)).save_to_preset(folder)
    return folder


@pytest.fixture(scope="module")
def demo(preset, tmp_path_factory):
    demo = DemoProcess(preset, tmp_path_factory.mktemp("demo"))
    yield demo
    demo.process.kill()


@pytest.fixture
def page(demo):
    """The demo in the browser; the test fails if another machine is contacted."""
    with open_page(demo.address) as (page, requests):
        yield page
        assert len(requests) > 10
        own = (demo.address, "data:", f"blob:{demo.address}")
        assert [url for url in requests if not url.startswith(own)] == []
    assert not demo.used_proxy()


def download(page, by_key=False):
    button = page.get_by_role("button", name="Download as PNG")
    with page.expect_download() as found:
        button.press("Enter") if by_key else button.click()
    with Image.open(found.value.path()) as image:
        image.load()
        return found.value.suggested_filename, image


def distance_to_line(size, start, end):
    """Return the distance of each pixel to a line, in pixels."""
    width, height = size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    a, b = np.multiply(start, size), np.multiply(end, size)
    along = ((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum()
    along = along.clip(0, 1)
    return np.hypot(x - a[0] - along * (b - a)[0], y - a[1] - along * (b - a)[1])


def test_stroke_is_filled_and_nothing_else_changes(page, tmp_path):
    # Larger than the preview, and rotated by its EXIF orientation.
    source = Image.fromarray(PHOTO).resize((1200, 900))
    exif = Image.Exif()
    exif[0x0112] = 6
    source.save(tmp_path / "photo.jpg", exif=exif)
    upload(page, tmp_path / "photo.jpg")
    wait_for_photo(page)
    start, end = (0.4, 0.3), (0.5, 0.35)
    paint(page, start, end)
    canvas = page.locator("canvas.strokes").bounding_box()
    brush = float(page.get_by_role("slider").input_value())
    fill(page)
    name, found = download(page)
    assert (name, found.format, found.size) == ("photo_filled.png", "PNG", (900, 1200))
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "photo.jpg"))
    changed = (np.asarray(found) != np.asarray(upright)).any(-1)
    scale = 900 / canvas["width"]
    distance = distance_to_line(found.size, start, end)
    slack = 2 * scale
    assert not changed[distance > brush / 2 * scale + slack].any()
    assert changed[distance < brush / 2 * scale - slack].mean() > 0.95


@pytest.mark.backend_independent
def test_everything_works_by_keyboard(page, tmp_path):
    def tab_to(locator):
        for _ in range(30):
            page.keyboard.press("Tab")
            if locator.evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"Tab does not reach {locator}")

    page.on("filechooser", lambda dialog: dialog.set_files(tmp_path / "line.png"))
    tab_to(page.get_by_role("button", name="Face"))
    page.keyboard.press("Enter")
    page.get_by_text("512 × 512 pixels").wait_for()
    mask = np.zeros((512, 512), "uint8")
    mask[400:420, 100:160] = 255
    Image.fromarray(mask).save(tmp_path / "line.png")
    tab_to(page.get_by_role("button", name="upload").last)
    page.keyboard.press("Enter")
    page.get_by_text("line").wait_for()
    tab_to(page.get_by_role("application"))
    page.keyboard.press("Space")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    tab_to(page.get_by_label("crop"))
    page.keyboard.press("Space")
    assert page.get_by_label("crop").is_checked()
    tab_to(page.get_by_role("button", name="3. Fill"))
    fill(page, by_key=True)
    tab_to(page.get_by_role("button", name="Download as PNG"))
    _, found = download(page, by_key=True)
    changed = (np.asarray(found) != PHOTO).any(-1)
    assert changed[mask > 0].mean() > 0.95
    assert changed[256, 256:280].mean() > 0.95
    # Apart from the mask and the brush's path, from the center to the right
    changed[mask > 0] = False
    changed[225:287, 225:400] = False
    assert not changed.any()


@pytest.mark.backend_independent
def test_errors_are_shown_in_the_browser(page, demo, tmp_path):
    def read_error():
        toast = page.locator(".toast-body").last
        toast.wait_for()
        text = toast.inner_text()
        page.locator(".toast-close").last.click()
        toast.wait_for(state="detached")
        assert "Traceback" not in text
        assert str(demo.folder) not in text
        return text

    (tmp_path / "text.txt").write_text("not an image")
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "<b>heavy.png").write_bytes(b"\0" * 1_100_000)
    Image.fromarray(PHOTO[:100, :120]).save(tmp_path / "small.png")
    Image.new("L", (120, 100), 255).save(tmp_path / "white.png")
    button = page.get_by_role("button", name="3. Fill")
    button.click()
    assert "There is no photo yet" in read_error()
    upload(page, tmp_path / "text.txt")
    assert "Invalid file type" in read_error()
    upload(page, tmp_path / "<b>heavy.png")
    assert "exceed the maximum allowed size of 1.0 Mb" in read_error()
    upload(page, tmp_path / "text.png")
    assert "cannot be read: cannot identify image file" in read_error()
    remove_upload(page, "1. Photo")
    upload(page, tmp_path / "small.png")
    wait_for_photo(page)
    button.click()
    assert "There is no hole yet: paint over" in read_error()
    # Strokes on one photo do not apply to the next.
    paint(page, (0.2, 0.2), (0.4, 0.4))
    page.get_by_role("button", name="Cat").click()
    page.get_by_text("451 × 300 pixels").wait_for()
    button.click()
    assert "There is no hole yet: paint over" in read_error()
    page.locator("input[type=file]").last.set_input_files(tmp_path / "white.png")
    page.get_by_text("white").last.wait_for()
    button.click()
    assert "`mask` must be of the image's size, 300 x 451" in read_error()
    # After all these errors, a fill works.
    remove_upload(page, "or a mask")
    paint(page, (0.4, 0.4), (0.5, 0.5))
    fill(page)


@pytest.mark.backend_independent
def test_other_sites_and_machines_are_kept_out(demo):
    with pytest.raises(HTTPError, match="400"):
        urlopen(Request(demo.address, headers={"Host": "elsewhere.example"}))
    blocked = """
        new Promise((resolve) => {
          document.addEventListener("securitypolicyviolation", (event) =>
            resolve(event.blockedURI));
          new Image().src = "http://127.0.0.2/pixel.png";
        })
    """
    with open_page(demo.address) as (page, requests):
        assert page.evaluate(blocked).startswith("http://127.0.0.2")
        # The list holds blocked requests too, on which the other tests rely.
        assert "http://127.0.0.2/pixel.png" in requests


# Ctrl-C, below, takes the same way.
@pytest.mark.slow
@pytest.mark.backend_independent
def test_termination_deletes_the_temporary_folder(preset, tmp_path):
    demo = DemoProcess(preset, tmp_path)
    (folder,) = tmp_path.glob("keras_ctsdg_demo_*")
    code, output = demo.stop(signal.SIGTERM)
    assert code == 128 + signal.SIGTERM, output
    assert not folder.exists()


def test_ctrl_c_stops_the_demo_while_a_page_is_open(demo):
    """Last, because it stops the demo that the other tests use."""
    with open_page(demo.address) as (page, _):
        page.get_by_role("button", name="Cat").click()
        wait_for_photo(page)
        (folder,) = demo.folder.glob("keras_ctsdg_demo_*")
        code, output = demo.stop()
    assert code == 0, output
    assert "Stopped." in output
    assert "Traceback" not in output
    assert not folder.exists()
