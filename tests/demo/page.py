"""The demo on a stub model, and a client that speaks its protocol without a browser."""

import json
import os
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import httpx
import numpy as np
from PIL import Image

from keras_ctsdg.demo import server
from keras_ctsdg.demo.interface import build_interface, import_gradio
from keras_ctsdg.demo.sessions import SessionFiles
from tests.inpainting.common import PHOTO, ConstantModel

MEGABYTES = 1
IMAGE = np.asarray(PHOTO[:48, :64])
MASK = np.zeros((48, 64), "uint8")
MASK[10:20, 10:30] = 255


class StubPresets:
    names = ("stub",)

    def get(self, name):
        if name not in self.names:
            raise ValueError(f"`preset` must be `stub`. Received: {name}")
        return ConstantModel()


@contextmanager
def serving():
    """Serve the demo as `serve` does, in a thread; yield its address and files."""
    with server._listening_socket(0) as listener, server._temporary_folder() as folder:
        files = SessionFiles(folder, server.UPLOADS * MEGABYTES * 2**20)
        interface = build_interface(StubPresets(), files, 3.0, 64)
        port = listener.getsockname()[1]
        app = server._make_app(import_gradio(), interface, port, files, MEGABYTES)
        listener.listen()
        process = server._make_server(app)
        thread = Thread(target=process.run, kwargs={"sockets": [listener]})
        thread.start()
        yield SimpleNamespace(
            address=f"http://127.0.0.1:{port}",
            port=port,
            files=files,
            folder=files.folder,
            interface=interface,
        )
        process.should_exit = True
        thread.join()


class Page:
    """What the page's JavaScript does: a browser's cookies and the name of a tab."""

    def __init__(self, demo, tab, browser=None):
        self.tab = tab
        self.http = browser or httpx.Client(base_url=demo.address, timeout=60)
        self.http.get("/")
        events = self.http.get("/config").json()["dependencies"]
        (self.fill_event,) = [x["id"] for x in events if len(x["inputs"]) == 5]
        changes = [x["id"] for x in events if len(x["inputs"]) == 1]
        self.show_event, self.mask_event = changes

    def close(self):
        """Open and end the connection that a browser keeps while a page is open."""
        options = {"base_url": self.http.base_url, "cookies": self.http.cookies}
        with httpx.Client(**options) as browser:
            path = f"/gradio_api/heartbeat/{self.tab}"
            with browser.stream("GET", path) as connection:
                next(connection.iter_raw())

    def upload(self, data, name="photo.png", **headers):
        """Upload a file; return the response."""
        headers = {"session_hash": self.tab, **headers}
        files = {"files": (name, data)}
        return self.http.post("/gradio_api/upload", files=files, headers=headers)

    def join(self, event, data, **headers):
        """Send an event; return the response."""
        body = {"data": data, "fn_index": event, "session_hash": self.tab}
        return self.http.post("/gradio_api/queue/join", json=body, headers=headers)

    def run(self, event, data):
        """Send an event and return its output, or the text of its error."""
        response = self.join(event, data)
        assert response.status_code == 200, response.text
        query = {"session_hash": self.tab}
        with self.http.stream("GET", "/gradio_api/queue/data", params=query) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:") or "{}")
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    return output["data"] if message["success"] else output["error"]

    def show(self, photo):
        return self.run(self.show_event, [photo])

    def fill(self, photo, strokes="", mask=None):
        return self.run(self.fill_event, [photo, strokes, mask, "auto", "stub"])


def to_file(path):
    """What the page sends for a file."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def to_png(image):
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def upload_both(page):
    """Upload `IMAGE` and `MASK`; return their paths on the server."""
    photo, mask = page.upload(to_png(IMAGE)), page.upload(to_png(MASK), "mask.png")
    return photo.json()[0], mask.json()[0]


def list_files(folder):
    # Unlike `rglob`, `os.walk` passes over folders that are deleted meanwhile.
    paths = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return sorted(path for path in paths if path.is_file())
