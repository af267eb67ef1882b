"""The web server of the demo, on 127.0.0.1 and on no other address."""

import os
import shutil
import signal
import socket
import tempfile
import webbrowser
from contextlib import contextmanager

from keras_ctsdg.demo.fill import PresetCache
from keras_ctsdg.demo.interface import CSS, build_interface, import_gradio, make_theme
from keras_ctsdg.inpainting import InpaintOptions

HOST = "127.0.0.1"
# The browser must not load anything from other machines, whatever Gradio links to.
CONTENT_SECURITY_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)


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

    Uploads and results are kept in a temporary folder, which is deleted at the end.

    Args:
        presets: List of str, the presets to choose from, as `from_preset` takes them.
        port: Int, `0` for any free port. Defaults to `7860`.
        open_browser: Bool, whether to open the demo in the browser. Defaults to
            `True`.
        memory_limit: Float, gigabytes that the network may take, as
            `keras_ctsdg.inpainting.InpaintOptions` documents it. Defaults to `3.0`.
        max_upload_mb: Int, the size in megabytes of the largest file that is accepted.
            Defaults to `50`.
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
        interface = build_interface(cache, folder, memory_limit, max_megapixels)
        app = _make_app(gradio, interface, max_upload_mb)
        listener.listen()
        address = f"http://{HOST}:{listener.getsockname()[1]}"
        log(f"The demo runs at {address}. Press Ctrl-C to stop it.")
        if open_browser:
            webbrowser.open(address)
        _run(app, listener)


@contextmanager
def _listening_socket(port):
    """Bind the port, so that a port in use is reported before anything is loaded."""
    with socket.socket() as listener:
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

        handler = signal.signal(signal.SIGTERM, delete_and_exit)
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield folder
        finally:
            signal.signal(signal.SIGTERM, handler)
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def _make_app(gradio, interface, max_upload_mb):
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    # Prevents DNS rebinding: a website could reach the demo under its own name.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.add_middleware(_ContentSecurityPolicy)
    return gradio.mount_gradio_app(
        app,
        interface,
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


class _ContentSecurityPolicy:
    """Middleware that adds the content security policy to each response."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_with_policy(message):
            if message["type"] == "http.response.start":
                policy = CONTENT_SECURITY_POLICY.encode()
                header = (b"content-security-policy", policy)
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def _run(app, listener):
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
