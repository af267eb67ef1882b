"""The page on 127.0.0.1, and on no other address."""

import os
import shutil
import signal
import socket
import tempfile
import webbrowser
from contextlib import contextmanager

from keras_ctsdg.demo.page import CSS, import_gradio, make_page, make_theme
from keras_ctsdg.demo.work import Models
from keras_ctsdg.inpainting import InpaintOptions

HOST = "127.0.0.1"
# Whatever Gradio may come to link to, the browser asks no other machine for it.
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)


def serve(
    presets,
    port=7860,
    open_browser=True,
    memory_limit=3.0,
    max_upload_mb=50,
    max_megapixels=64,
    tell=print,
):
    """Serves the page until it is interrupted.

    Uploads and results lie in a temporary folder, which goes with the page.

    Args:
        presets: List of str, as `from_preset` takes them, to choose from.
        port: Int, `0` for any that is free. Defaults to `7860`.
        open_browser: Bool, whether the page is opened. Defaults to `True`.
        memory_limit: Float, as `CTSDG.inpaint` takes it. Defaults to `3.0`.
        max_upload_mb: Int, megabytes of the largest file that is taken. Defaults to
            `50`.
        max_megapixels: Number, the largest picture. Defaults to `64`.
        tell: Callable of a line, when the page is there. Defaults to `print`.

    Raises:
        ImportError: If the extra `demo` is not installed.
        ValueError: If there is no preset, one can't be loaded, or the port is
            taken.
    """
    gradio = import_gradio()
    InpaintOptions(memory_limit=memory_limit)
    with _listening(port) as listener, _temporary_folder() as folder:
        models = Models(presets)
        page = make_page(models, folder, memory_limit, max_megapixels)
        app = _make_app(gradio, page, max_upload_mb)
        listener.listen()
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        tell(f"The page is at {address}. Ctrl-C ends it.")
        if open_browser:
            webbrowser.open(address)
        _run(app, listener)


@contextmanager
def _listening(port):
    """A socket of that port: an error before anything is loaded."""
    with socket.socket() as listener:
        # A port that was left a moment ago is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                f"--port must be one that is free, or 0 for any. Received: --port "
                f"{port}: {error.strerror}"
            ) from error
        yield listener


@contextmanager
def _temporary_folder():
    """A folder that is gone afterwards, where Gradio too puts its files."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="keras_ctsdg_demo_") as folder:

        def end(*_):
            # No exception: it may come amid what passes over one.
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(128 + signal.SIGTERM)

        handler = signal.signal(signal.SIGTERM, end)
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield folder
        finally:
            signal.signal(signal.SIGTERM, handler)
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def _make_app(gradio, page, max_upload_mb):
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # Else a site could reach the page under a name of its own.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.add_middleware(_Policy)
    return gradio.mount_gradio_app(
        app,
        page,
        path="/",
        server_name=HOST,
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        max_file_size=max_upload_mb * 2**20,
        theme=make_theme(),
        css=CSS,
    )


class _Policy:
    """Adds to each answer the rule that the browser stays on this machine."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_with_policy(message):
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message["headers"] = [*message.get("headers", ()), policy]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def _run(app, listener):
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
