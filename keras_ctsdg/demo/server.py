"""The web server of the demo, on 127.0.0.1 and on no other address."""

import os
import shutil
import signal
import socket
import tempfile
import webbrowser
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import copyfileobj

from keras_ctsdg.demo.fill import PresetCache
from keras_ctsdg.demo.guard import COOKIE, PROGRESS, UPLOAD, Guard
from keras_ctsdg.demo.interface import CSS, build_interface, import_gradio, make_theme
from keras_ctsdg.demo.sessions import BudgetError, Session, SessionFiles
from keras_ctsdg.inpainting import InpaintOptions

HOST = "127.0.0.1"
# All uploads together may take this many times the largest one.
UPLOADS = 10
HEAD = f"<script>{(Path(__file__).parent / 'session.js').read_text('utf-8')}</script>"


def serve(
    presets,
    port=7860,
    open_browser=True,
    memory_limit=InpaintOptions.memory_limit,
    max_upload_mb=50,
    max_megapixels=64.0,
    log=print,
):
    """Serve the demo until it is interrupted.

    Uploads and results are kept in a temporary folder, a page's until it is closed, and
    at the longest until the end. No other page can name them, nor can another site.

    Args:
        presets: List of str, the presets to choose from, as `from_preset` takes them.
        port: Int, `0` for any free port. Defaults to `7860`.
        open_browser: Bool, whether to open the demo in the browser. Defaults to
            `True`.
        memory_limit: Float, gigabytes that the network may take, as
            `keras_ctsdg.inpainting.InpaintOptions` documents it. Defaults to `3.0`.
        max_upload_mb: Int, the size in megabytes of the largest file that is accepted.
            All uploads together may take ten times that. Defaults to `50`.
        max_megapixels: Number, the size in millions of pixels of the largest image
            that is accepted. Defaults to `64`.
        log: Callable of a str, called with the address when the demo is ready.
            Defaults to `print`.

    Raises:
        ImportError: If the extra `demo` is not installed.
        ValueError: If there is no preset, the first one cannot be loaded,
            `memory_limit` is not positive, or the port is in use.
    """
    gradio = import_gradio()
    InpaintOptions(memory_limit=memory_limit)
    with _listening_socket(port) as listener, _temporary_folder() as folder:
        cache = PresetCache(presets)
        files = SessionFiles(folder, UPLOADS * max_upload_mb * 2**20)
        interface = build_interface(cache, files, memory_limit, max_megapixels)
        port = listener.getsockname()[1]
        app = _make_app(gradio, interface, port, files, max_upload_mb)
        listener.listen()
        address = f"http://{HOST}:{port}"
        log(f"The demo runs at {address}. Press Ctrl-C to stop it.")
        if open_browser:
            webbrowser.open(address)
        _run(app, listener)


@contextmanager
def _listening_socket(port):
    """Bind the port, so that a port in use is reported before anything is loaded."""
    # For a socket without a protocol, asyncio lets every answer wait for 40 ms.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        # Otherwise a port stays blocked for a minute after the demo is stopped.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                "`port` must be a free port, or 0 for any. Received: "
                f"port={port}: {error.strerror}"
            ) from error
        yield listener


@contextmanager
def _temporary_folder():
    """Make a folder for Gradio's files and ours, and delete it at the end."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="keras_ctsdg_demo_") as folder:

        def delete_and_exit(*_):
            # An exception could be raised within code that ignores exceptions.
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(128 + signal.SIGTERM)

        # Gradio and we compare paths, so no link may be in them.
        folder = os.path.realpath(folder)
        handler = signal.signal(signal.SIGTERM, delete_and_exit)
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield folder
        finally:
            signal.signal(signal.SIGTERM, handler)
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def _make_app(gradio, interface, port, files, max_upload_mb):
    from fastapi import FastAPI

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    config = interface.get_config_file()
    kinds = {part["id"]: part["type"] for part in config["components"]}
    events = {
        event["id"]: [kinds[part] for part in event["inputs"]]
        for event in config["dependencies"]
    }
    max_upload = max_upload_mb * 2**20
    app.add_middleware(
        Guard, port=port, files=files, events=events, max_upload=max_upload
    )
    # Before Gradio's own route, which knows no budget and no owner of a file.
    app.add_route(UPLOAD, partial(_upload, files, max_upload_mb), methods=["POST"])
    app.add_route(PROGRESS, _report_progress)
    gradio.mount_gradio_app(
        app,
        interface,
        path="/",
        server_name=HOST,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        max_file_size=max_upload,
        theme=make_theme(),
        css=CSS,
        head=HEAD,
    )
    # Gradio checks no path before this, and its `mount_gradio_app` does not set it.
    interface.has_launched = True
    return app


async def _upload(files, max_upload_mb, request):
    """Store an uploaded file and answer with its path, as Gradio's route does."""
    from starlette.concurrency import run_in_threadpool
    from starlette.datastructures import UploadFile
    from starlette.responses import JSONResponse, PlainTextResponse

    session = Session(request.cookies[COOKIE], request.headers.get("session_hash"))
    try:
        with files.reserve(int(request.headers["content-length"])):
            async with request.form(max_files=100, max_fields=0) as form:
                # Whoever drops several files gets the first, as with Gradio.
                upload, *_ = [*form.getlist("files"), None]
                if not isinstance(upload, UploadFile):
                    return PlainTextResponse("`files` must be a file.", 400)
                if upload.size > max_upload_mb * 2**20:
                    message = f"A file must have at most {max_upload_mb} megabytes."
                    return PlainTextResponse(message, 413)
                path = files.add(session, upload.filename or "", size=upload.size)
                with path.open("wb") as file:
                    await run_in_threadpool(copyfileobj, upload.file, file)
    except BudgetError as error:
        return PlainTextResponse(str(error), 413)
    return JSONResponse([str(path)])


async def _report_progress(request):
    """End the progress bar, which an upload to the same machine does not need."""
    from starlette.responses import PlainTextResponse

    done = 'data: {"msg": "done"}\n\n'
    return PlainTextResponse(done, media_type="text/event-stream")


def _make_server(app):
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets=None):
            # Open pages stay connected, so that waiting for them would be in vain.
            for task in self.server_state.tasks:
                task.cancel()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        ws="none",
        proxy_headers=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    return Server(config)


def _run(app, listener):
    try:
        _make_server(app).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
