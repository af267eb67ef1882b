"""The demo in a real browser.

`python -m tests.demo.browser PRESET docs/demo.png` takes the README's screenshot.
"""

import os
import re
import shutil
import signal
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.processes import start_command

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, CHROMIUMS)), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs a browser: `apt-get install chromium`"
)
# Chromium's sandbox does not work for root in a container.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking "
    "--disable-component-update --no-first-run --no-default-browser-check"
).split()
TIMEOUT = 120  # Seconds


class DemoProcess:
    """The demo in a process of its own, and a proxy that nothing should contact."""

    def __init__(self, preset, folder):
        self.folder = Path(folder)
        self.proxy = socket.create_server(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{self.proxy.getsockname()[1]}"
        names = ("http_proxy", "https_proxy", "all_proxy")
        self.process = start_command(
            *("demo", preset, "--no-open", "--port", 0, "--max-upload-mb", 1),
            **dict.fromkeys([*names, *map(str.upper, names)], proxy),
            no_proxy="127.0.0.1,localhost",
            TMPDIR=str(self.folder),
        )
        line = self.process.stdout.readline()
        address = re.search(r"http://[\w.]+:\d+", line)
        if address is None:
            raise RuntimeError(line + self.process.stderr.read())
        self.address = address[0]

    def used_proxy(self):
        """Return whether the demo tried to contact another machine."""
        self.proxy.setblocking(False)
        try:
            self.proxy.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def stop(self, signal_number=signal.SIGINT):
        """Send Ctrl-C or another signal; return the exit code and the output."""
        self.process.send_signal(signal_number)
        stdout, stderr = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, stdout + stderr


@contextmanager
def open_page(address):
    """Open a page in a headless Chromium; yield it and the list of its requests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(TIMEOUT * 1000)
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        page.get_by_role("button", name="3. Fill").wait_for()
        yield page, requests
        browser.close()


def upload(page, path):
    """Upload a photo, as a drop or the file dialog does."""
    page.locator("input[type=file]").first.set_input_files(path)


def remove_upload(page, label):
    """Remove an uploaded file."""
    block = page.locator(".block", has_text=label).last
    block.get_by_role("button", name="Clear", exact=True).click()
    block.get_by_role("button", name="upload").wait_for()


def wait_for_photo(page):
    page.locator("canvas.strokes").wait_for()
    page.wait_for_function("document.querySelector('img.photo').complete")


def paint(page, start, end):
    """Paint a stroke with the mouse; positions are fractions of the photo's sides."""
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("canvas.strokes").bounding_box()
    start, end = (
        (box["x"] + x * box["width"], box["y"] + y * box["height"])
        for x, y in (start, end)
    )
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=8)
    page.mouse.up()


def fill(page, by_key=False):
    """Press the button Fill and wait for the result."""
    button = page.get_by_role("button", name="3. Fill")
    button.press("Enter") if by_key else button.click()
    page.get_by_text("all others are unchanged").wait_for()


def take_screenshot(preset, path):
    demo = DemoProcess(preset, os.environ.get("TMPDIR", "/tmp"))
    with open_page(demo.address) as (page, _):
        page.get_by_role("button", name="Cat").click()
        wait_for_photo(page)
        paint(page, (0.13, 0.62), (0.22, 0.52))
        paint(page, (0.56, 0.5), (0.6, 0.34))
        fill(page)
        page.get_by_role("img").last.wait_for()
        page.wait_for_timeout(1000)  # The results fade in.
        page.screenshot(path=path, full_page=True)
    demo.stop()
    # The width at which a README is displayed.
    with Image.open(path) as screenshot:
        screenshot.thumbnail((840, 2000), Image.Resampling.LANCZOS)
        screenshot.convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    take_screenshot(*sys.argv[1:])
