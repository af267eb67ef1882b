"""What stands between the network and Gradio, and lets only the page through."""

import asyncio
import json
import re
import secrets
from contextlib import nullcontext

from keras_ctsdg.demo.sessions import Session

COOKIE = "keras_ctsdg_session"
COOKIE_PATTERN = re.compile(r"[\w-]{43}")
TAB_PATTERN = re.compile(r"\w{1,64}")
UPLOAD = "/gradio_api/upload"
PROGRESS = "/gradio_api/upload_progress"
JOIN = "/gradio_api/queue/join"
MESSAGES = "/gradio_api/queue/data"
HEARTBEAT = "/gradio_api/heartbeat/"
FILE = "/gradio_api/file="
# Gradio has many more, for which the page has no use.
ROUTES = {
    "GET": re.compile(
        r"/(|config|theme\.css|favicon\.ico|manifest\.json)|/(assets|static)/.+"
        r"|/gradio_api/(app_id|info|queue/data|startup-events|upload_progress)"
        r"|/gradio_api/(heartbeat/|file=).+",
        re.DOTALL,
    ),
    "POST": re.compile(f"{UPLOAD}|{JOIN}"),
}
ROUTES["HEAD"] = ROUTES["GET"]
# Strokes are at most a preview's size; the rest of a request is small.
MAX_REQUEST = 8 * 2**20
# What a browser wraps around a file.
UPLOAD_OVERHEAD = 2**14
# The browser must not load anything from other machines, whatever Gradio links to.
CONTENT_SECURITY_POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
RESPONSE_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
# Proxies' headers would change the addresses in Gradio's answers, and a malformed range
# makes it fail.
DROPPED_HEADERS = re.compile(rb"cookie|content-length|range|forwarded|x-forwarded-.*")


class Refusal(Exception):
    """An answer to a request that Gradio does not get to see.

    Args:
        status: Int, the HTTP status code.
        reason: Str.
    """

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status = status


class Guard:
    """Middleware that refuses whatever the page itself does not send.

    Other sites, also under a name that they let point to this machine; routes that the
    page does not use; large requests; and files that this page did not upload.

    Args:
        app: ASGI application.
        port: Int, of the page's address.
        files: `keras_ctsdg.demo.sessions.SessionFiles`.
        events: Dict of int to list of str, the kinds of the inputs of each event of the
            interface.
        max_upload: Int, bytes of the largest file.
    """

    def __init__(self, app, port, files, events, max_upload):
        self.app = app
        self.address = f"http://127.0.0.1:{port}"
        hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.hosts = hosts | ({"127.0.0.1", "localhost"} if port == 80 else set())
        self.files = files
        self.events = events
        self.max_upload = max_upload

    async def __call__(self, scope, receive, send):
        from starlette.requests import ClientDisconnect, Request

        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        headers = dict(RESPONSE_HEADERS)
        try:
            self._check_source(request)
            self._check_size(request)
            browser = request.cookies.get(COOKIE, "")
            if not COOKIE_PATTERN.fullmatch(browser):
                browser = secrets.token_urlsafe(32)
                headers["set-cookie"] = (
                    f"{COOKIE}={browser}; Path=/; HttpOnly; SameSite=Lax"
                )
            self.files.delete_idle()
            await self._forward(request, browser, _add_headers(send, headers))
        except Refusal as refusal:
            await _respond(refusal, request, _add_headers(send, headers))
        except ClientDisconnect:
            pass

    def _check_source(self, request):
        """Refuse what another site sent, and routes that the page does not use."""
        headers, method, path = request.headers, request.method, request.scope["path"]
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            raise Refusal(400, f"This page is served at {self.address} alone.")
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            raise Refusal(403, "Only the page itself may send this.")
        is_link = (method, path) == ("GET", "/") and (
            headers.get("sec-fetch-mode") == "navigate"
        )
        # Browsers send no `Origin` with the address of an image, for example.
        site = headers.get("sec-fetch-site", "none")
        if site not in ("same-origin", "none") and not is_link:
            raise Refusal(403, "Only the page itself may send this.")
        if method not in ROUTES:
            raise Refusal(405, "This method is not used by the page.")
        if not ROUTES[method].fullmatch(path):
            raise Refusal(404, "This address is not used by the page.")

    def _check_size(self, request):
        """Refuse large requests before they are read."""
        if request.method != "POST":
            return
        length = ",".join(request.headers.getlist("content-length"))
        is_stated = re.fullmatch(r"[0-9]{1,12}", length)
        if "transfer-encoding" in request.headers or not is_stated:
            raise Refusal(411, "The request must state its length.")
        limit = MAX_REQUEST
        if request.scope["path"] == UPLOAD:
            limit = self.max_upload + UPLOAD_OVERHEAD
        if int(length) > limit:
            raise Refusal(
                413, f"The request must have at most {limit / 2**20:.1f} megabytes."
            )

    async def _forward(self, request, browser, send):
        """Pass a request on, with no more in it than was checked."""
        scope, receive = dict(request.scope), request.receive
        path = scope["path"]
        query, length = b"", request.headers.get("content-length", "0")
        is_open = nullcontext()
        if path.startswith(FILE):
            if not self.files.may_read(browser, path.removeprefix(FILE)):
                raise Refusal(403, "This is no file of this page.")
        elif path.startswith(HEARTBEAT):
            session = self._session(browser, path.removeprefix(HEARTBEAT))
            is_open = self.files.open(session)
        elif path == MESSAGES:
            session = self._session(browser, request.query_params.get("session_hash"))
            query = f"session_hash={session.tab}".encode()
        elif path == UPLOAD and "session_hash" in request.headers:
            self._session(browser, request.headers["session_hash"])
        elif path == JOIN:
            body = self._check_event(await request.body(), browser)
            receive, length = _replay(body, receive), str(len(body))
        scope["query_string"] = query
        scope["headers"] = [
            (name, value)
            for name, value in scope["headers"]
            if not DROPPED_HEADERS.fullmatch(name)
        ]
        scope["headers"].append((b"cookie", f"{COOKIE}={browser}".encode()))
        if request.method == "POST":
            scope["headers"].append((b"content-length", length.encode()))
        with is_open:
            try:
                await self.app(scope, receive, send)
            except asyncio.CancelledError:
                # Gradio ends its answers to a page that is open while the server stops.
                if path != MESSAGES and not path.startswith(HEARTBEAT):
                    raise

    def _session(self, browser, tab):
        if not isinstance(tab, str) or not TAB_PATTERN.fullmatch(tab):
            raise Refusal(400, "`session_hash` must name a page.")
        session = Session(browser, tab)
        if not self.files.is_own(session):
            raise Refusal(403, "`session_hash` names the page of another browser.")
        return session

    def _check_event(self, body, browser):
        """Return an event of the interface, without what the page does not send."""
        try:
            event = json.loads(body)
            tab, data = event["session_hash"], event["data"]
            kinds = self.events[event["fn_index"]]
            inputs = list(zip(kinds, data, strict=True))
        except (KeyError, RecursionError, TypeError, ValueError) as error:
            raise Refusal(400, "This is no event of the page.") from error
        session = self._session(browser, tab)
        checked = {
            "data": [self._check_input(kind, value, session) for kind, value in inputs],
            "fn_index": event["fn_index"],
            "session_hash": tab,
        }
        return json.dumps(checked).encode()

    def _check_input(self, kind, value, session):
        """Return an input of an event; a file is reduced to its path."""
        if value is None or kind != "file" and isinstance(value, str):
            return value
        path = value.get("path") if isinstance(value, dict) else None
        if kind != "file" or not isinstance(path, str):
            raise Refusal(422, "`data` must be texts and files, as the page has them.")
        if not self.files.may_use(session, path):
            raise Refusal(
                422,
                "This file was not uploaded by this page, or has been deleted since: "
                "add it again.",
            )
        return {"path": path, "meta": {"_type": "gradio.FileData"}}


def _add_headers(send, headers):
    """Wrap `send` so that the response gets these headers."""
    added = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def send_with_headers(message):
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return send_with_headers


def _replay(body, receive):
    """Return a `receive` that gives a body that was already read."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_checked():
        return messages.pop() if messages else await receive()

    return receive_checked


async def _respond(refusal, request, send):
    from starlette.responses import JSONResponse, PlainTextResponse

    # The page shows the text of a failed upload as it is.
    if request.scope["path"] == UPLOAD:
        response = PlainTextResponse(str(refusal), refusal.status)
    else:
        response = JSONResponse({"detail": str(refusal)}, refusal.status)
    await response(request.scope, request.receive, send)
