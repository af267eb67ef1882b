"""The page in a browser, and what stands in for ONNX Runtime Web."""

import base64
import io
import json
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

from keras_ctsdg.export.web import npm_package
from tests.demo.browser import open_page, upload

# Fills each pixel with its row and column in the window, so that results tell which
# windows the page showed to the network.
RUNTIME = """
export const env = { wasm: {} };
export class Tensor {
  constructor(type, data, dims) { Object.assign(this, { type, data, dims }); }
}
async function run({ image, mask }, device) {
  if (image.type + image.dims !== "uint81,256,256,3") throw Error("Another type");
  const filled = image.data.slice();
  mask.data.forEach((x, i) => x && filled.set([i >> 8, i & 255, 7], 3 * i));
  if (device === "wasm") await new Promise((resolve) => setTimeout(resolve, 30));
  else { /* GPU */ }
  return { filled: { getData: async () => filled } };
}
export const InferenceSession = {
  create: async (_, { executionProviders }) => {
    return { run: (inputs) => run(inputs, executionProviders[0]) };
  },
};
"""


def write_package(folder, version=npm_package.VERSION, gpu_fault=""):
    """Write a stand-in for the folder that npm's package is unpacked to.

    Args:
        folder: `pathlib.Path`.
        version: Str, the package's version.
        gpu_fault: Str, code that spoils what the GPU fills. Defaults to none.
    """
    (folder / "dist").mkdir(parents=True)
    manifest = {"name": npm_package.NAME, "version": version}
    (folder / "package.json").write_text(json.dumps(manifest))
    for name in npm_package.RUNTIME_FILES:
        (folder / "dist" / name).write_text(RUNTIME.replace("/* GPU */", gpu_fault))
    return folder


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextmanager
def serve(folder):
    """Serve a folder as `python -m http.server` does; yield its address."""
    handler = partial(QuietHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def open_own_page(folder):
    """Open the page of a folder, which may not contact any other address."""
    with serve(folder) as address, open_page(address) as (page, requests):
        yield page
        own = (address, f"blob:{address}", "data:")
        assert [url for url in requests if not url.startswith(own)] == []


def open_photo(page, path):
    """Open a photo and wait until it can be painted on."""
    upload(page, path)
    page.get_by_text("then press Fill").wait_for()
    page.locator(".frame:not([hidden]) img.photo").wait_for()
    page.wait_for_timeout(200)


def download(page):
    """Return the name of the file that is offered, and its pixels."""
    with page.expect_download() as found:
        page.get_by_role("link", name="Download as PNG").click()
    with Image.open(found.value.path()) as image:
        assert image.format == "PNG"
        return found.value.suggested_filename, np.asarray(image)


def read_strokes(page):
    """Return the hole that is painted, of a photo of at most 1024 pixels a side."""
    url = page.evaluate("document.querySelector('canvas.strokes').toDataURL()")
    data = base64.b64decode(url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))[..., 3] > 127
