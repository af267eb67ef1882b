"""A real browser on a real page.

`python -m tests.demo.browser PRESET docs/demo.png` takes the README's picture of it.
"""

import os
import shutil
import signal
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from tests.common import start_command

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, CHROMIUMS)), None)
# Not the sandbox, which a container's root can't have.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking "
    "--disable-component-update --no-first-run --no-default-browser-check"
).split()
SECONDS = 120


class Served:
    """A page in a process of its own, and a proxy that nothing should ask for."""

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
        if "http://" not in line:
            raise RuntimeError(line + self.process.stderr.read())
        self.address = line.split()[4].rstrip(".")

    def was_elsewhere(self):
        """Whether the server asked for another machine."""
        self.proxy.setblocking(False)
        try:
            self.proxy.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def end(self, number=signal.SIGINT):
        """By Ctrl-C, or a signal: the code, and what was written to both streams."""
        self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, stdout + stderr


@contextmanager
def open_page(address):
    """A page of a headless Chromium, and the list of what it asks for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(SECONDS * 1000)
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        page.get_by_role("button", name="3. Fill").wait_for()
        yield page, asked
        browser.close()


def give(page, path):
    """Gives the picture, as a drop or the dialog does."""
    page.locator("input[type=file]").first.set_input_files(path)


def take_back(page, label):
    """Takes back a file."""
    block = page.locator(".block", has_text=label).last
    block.get_by_role("button", name="Clear", exact=True).click()
    block.get_by_role("button", name="upload").wait_for()


def wait_for_picture(page):
    page.locator("canvas.strokes").wait_for()
    page.wait_for_function("document.querySelector('img.picture').complete")


def paint(page, start, end):
    """A stroke with the mouse between two places, as parts of the picture."""
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("canvas.strokes").bounding_box()
    places = [
        (box["x"] + x * box["width"], box["y"] + y * box["height"])
        for x, y in (start, end)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=8)
    page.mouse.up()


def fill(page, by_key=False):
    """Fills, and waits for what is told of it."""
    button = page.get_by_role("button", name="3. Fill")
    button.press("Enter") if by_key else button.click()
    page.get_by_text("all others are what they were").wait_for()


def take_picture(preset, path):
    served = Served(preset, os.environ.get("TMPDIR", "/tmp"))
    with open_page(served.address) as (page, _):
        page.get_by_role("button", name="Cat").click()
        wait_for_picture(page)
        paint(page, (0.13, 0.62), (0.22, 0.52))
        paint(page, (0.56, 0.5), (0.6, 0.34))
        fill(page)
        page.get_by_role("img").last.wait_for()
        page.wait_for_timeout(1000)  # Until the results have faded in.
        page.screenshot(path=path, full_page=True)
    served.end()
    # As wide as a README is shown.
    with Image.open(path) as picture:
        picture.thumbnail((840, 2000), Image.Resampling.LANCZOS)
        picture.convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    take_picture(*sys.argv[1:])
