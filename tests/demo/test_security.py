"""The demo's server as an attacker meets it, by plain HTTP."""

import base64
import os
import socket
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.demo.guard import COOKIE
from tests.demo.page import IMAGE, MASK, Page, list_files, to_file, to_png, upload_both
from tests.inpainting.common import FILL_COLOR

pytestmark = pytest.mark.backend_independent

NOT_UPLOADED = "was not uploaded by this page"


def test_page_fills_and_shows_what_it_uploaded(page):
    photo, mask = upload_both(page)
    _, before, *_, size = page.show(to_file(photo))
    assert size == "64 × 48 pixels."
    after, download, status = page.fill(to_file(photo), "", to_file(mask))
    assert status.startswith("Filled 200 of 3,072 pixels")
    assert Path(download["value"]["path"]).name == "photo_filled.png"
    for file in (before, after, download["value"]):
        response = page.http.get(file["url"])
        assert response.headers["content-type"] == "image/png"
        found = np.asarray(Image.open(response).convert("RGB"))
        hole = MASK > 0
        np.testing.assert_array_equal(found[~hole], IMAGE[~hole])
        expected = IMAGE[hole] if file is before else FILL_COLOR
        assert np.abs(found[hole] - np.float32(expected)).max() <= 1


def test_only_uploaded_files_can_be_named(page, server, tmp_path):
    photo, mask = upload_both(page)
    secret = tmp_path / ".hidden" / "secret.png"
    secret.parent.mkdir()
    secret.write_bytes(to_png(IMAGE))
    inside = Path(photo).parent
    (inside / "link.png").symlink_to(secret)
    (server.folder / "linked").symlink_to(secret.parent)
    climb = os.path.relpath(secret, inside)
    data = base64.b64encode(to_png(IMAGE)).decode()
    with socket.create_server(("127.0.0.1", 0)) as internal:
        url = f"http://127.0.0.1:{internal.getsockname()[1]}/secret.png"
        names = [
            *(str(secret), f"{inside}/{climb}", f"{server.folder}/linked/secret.png"),
            *(f"{inside}/link.png", str(inside), str(server.folder), "/"),
            *("", "~", ".", ".."),
            *(os.path.relpath(photo), f"{inside}/../{inside.name}/photo.png"),
            *(f"{photo}\0", f"{photo}/", f"//{photo}", photo.replace("/", "%2F")),
            *(f"file://{photo}", f"file://{secret}", url),
            f"data:image/png;base64,{data}",
            f"{server.address}/gradio_api/file={photo}",
        ]
        payloads = [to_file(name) for name in names]
        payloads += [{"path": str(secret)}, {"path": str(secret), "meta": {}}]
        payloads += [{**to_file(str(secret)), "url": url, "is_stream": True}]
        payloads += [{"url": url}, {"path": None, "url": url}, {"path": [photo]}, {}]
        payloads += [[to_file(str(secret))], [[[]]], str(secret), url, 7, True, data]
        before = list_files(server.folder)
        for payload in payloads:
            for inputs in (
                [payload, "", to_file(mask), "auto", "stub"],
                [to_file(photo), "", payload, "auto", "stub"],
            ):
                response = page.join(page.fill_event, inputs)
                assert response.status_code == 422, payload
            assert page.join(page.show_event, [payload]).status_code == 422
        # Texts may hold any text, but no file.
        for place in (1, 3, 4):
            inputs = [to_file(photo), "", to_file(mask), "auto", "stub"]
            inputs[place] = to_file(str(secret))
            assert page.join(page.fill_event, inputs).status_code == 422
        for name in names:
            response = page.http.get(f"/gradio_api/file={quote(name, safe='')}")
            assert response.status_code == (403 if name else 404), name
        # What the page sends beside the path counts for nothing.
        page.show({**to_file(photo), "url": url, "orig_name": str(secret)})
        internal.setblocking(False)
        with pytest.raises(BlockingIOError):
            internal.accept()
    (preview,) = set(list_files(server.folder)) - set(before)
    assert preview.name == "before.png"
    assert page.fill(to_file(photo), "", to_file(mask))[2].startswith("Filled 200")
    # Nor does an upload lead elsewhere, whoever put a link in its place.
    Path(photo).unlink()
    Path(photo).symlink_to(secret)
    assert page.join(page.show_event, [to_file(photo)]).status_code == 422
    assert page.http.get(f"/gradio_api/file={photo}").status_code == 403


def test_gradio_checks_paths_by_itself(server, tmp_path):
    from gradio import processing_utils
    from gradio.context import LocalContext
    from gradio.exceptions import InvalidPathError

    (tmp_path / "secret.png").write_bytes(to_png(IMAGE))
    token = LocalContext.blocks.set(server.interface)
    try:
        with pytest.raises(InvalidPathError, match="not uploaded by a user"):
            processing_utils._check_allowed(tmp_path / "secret.png", True)
    finally:
        LocalContext.blocks.reset(token)


def test_pages_do_not_see_each_other(page, server):
    photo, mask = upload_both(page)
    same_browser = Page(server, "second_tab", page.http)
    other_browser = Page(server, "other_browser")
    inputs = [to_file(photo), "", to_file(mask), "auto", "stub"]
    # Neither before nor after the page itself has named its files.
    for _ in range(2):
        for other in (same_browser, other_browser):
            response = other.join(other.fill_event, inputs)
            assert response.status_code == 422
            assert NOT_UPLOADED in response.json()["detail"]
        _, download, _ = page.fill(to_file(photo), "", to_file(mask))
    result = download["value"]["path"]
    for path in (photo, result):
        assert page.http.get(f"/gradio_api/file={path}").status_code == 200
        assert other_browser.http.get(f"/gradio_api/file={path}").status_code == 403
        assert httpx.get(f"{server.address}/gradio_api/file={path}").status_code == 403
    # Nor can another browser take over the page.
    other_browser.tab = page.tab
    assert other_browser.join(page.fill_event, inputs).status_code == 403
    assert other_browser.upload(to_png(IMAGE)).status_code == 403
    for path in (f"heartbeat/{page.tab}", f"queue/data?session_hash={page.tab}"):
        assert other_browser.http.get(f"/gradio_api/{path}").status_code == 403
    assert Path(photo).exists()


def test_unclaimed_upload_belongs_to_the_first_page_that_names_it(page, server):
    files = {"files": ("photo.png", to_png(IMAGE))}
    photo = page.http.post("/gradio_api/upload", files=files).json()[0]
    other_browser = Page(server, "other_browser_2")
    second_tab = Page(server, "second_tab_2", page.http)
    assert other_browser.join(page.show_event, [to_file(photo)]).status_code == 422
    assert page.show(to_file(photo))[-1] == "64 × 48 pixels."
    assert second_tab.join(page.show_event, [to_file(photo)]).status_code == 422


ROUTES = (
    "/ /config /theme.css /assets/x /static/x /docs /login /monitoring /unknown "
    "/gradio_api/info /gradio_api/upload /gradio_api/vibe-code "
    "/gradio_api/queue/join /gradio_api/queue/data /gradio_api/heartbeat/x "
    "/gradio_api/call/run /gradio_api/run/predict /gradio_api/component_server "
    "/gradio_api/file=/etc/hostname /gradio_api/proxy=http://127.0.0.1/ "
).split()
FOREIGN = {
    "Origin": (
        "http://evil.example null http://127.0.0.1 http://127.0.0.1:1 "
        "https://127.0.0.1:PORT http://localhost:PORT http://127.0.0.1:PORT.evil.example"
    ),
    "Host": "evil.example evil.example:PORT 127.0.0.1 127.0.0.1:1 0.0.0.0:PORT a@b",
    "Sec-Fetch-Site": "cross-site same-site",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_sites_are_refused_on_every_route(page, server, name):
    before = list_files(server.folder)
    status = 400 if name == "Host" else 403
    for value in FOREIGN[name].replace("PORT", str(server.port)).split():
        header = {name: value}
        for path in ROUTES:
            for method in ("GET", "POST", "OPTIONS"):
                response = page.http.request(method, path, headers=header)
                assert response.status_code == status, (method, path, value)
                assert not any("access-control" in key for key in response.headers)
        assert page.upload(to_png(IMAGE), **header).status_code == status
        assert page.join(page.show_event, [None], **header).status_code == status
        response = httpx.get(server.address, headers=header)
        assert response.status_code == status and not response.cookies
    assert list_files(server.folder) == before


def test_routes_that_the_page_does_not_use_are_closed(page):
    for path in ROUTES[6:9] + ROUTES[11:12] + ROUTES[15:18] + ROUTES[19:]:
        assert page.http.get(path).status_code == 404, path
        assert page.http.post(path, content=b"{}").status_code == 404, path
    for path in ("/static/../server.py", "/assets/%2e%2e/%2e%2e/routes.py"):
        assert page.http.get(path).status_code in (403, 404)
    for method in ("OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"):
        assert page.http.request(method, "/").status_code == 405


def test_own_addresses_are_welcome(server):
    for host in (f"127.0.0.1:{server.port}", f"localhost:{server.port}"):
        headers = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        response = httpx.get(f"http://{host}/config", headers=headers)
        assert response.status_code == 200
        assert f"http://{host}" in response.json()["root"]
    # A link from another site may open the page, and do no more.
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    for path, status in (("/", 200), ("/config", 403)):
        assert httpx.get(server.address + path, headers=link).status_code == status
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    assert "evil" not in httpx.get(f"{server.address}/config", headers=forged).text
    response = httpx.get(server.address)
    assert "HttpOnly; SameSite=Lax" in response.headers["set-cookie"]
    assert len(response.cookies[COOKIE]) == 43
    assert response.headers["x-content-type-options"] == "nosniff"


def exchange(server, request):
    """Send bytes to the server and return the first line of its answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(request.replace(b"PORT", str(server.port).encode()))
        return connection.makefile("rb").readline()


def test_raw_requests(server):
    host = b"Host: 127.0.0.1:PORT\r\n"
    upload = b"POST /gradio_api/upload HTTP/1.1\r\n" + host
    socket_headers = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    socket_headers += (
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAA\r\n"
    )
    for request, status in (
        (b"GET / HTTP/1.0\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n" + host + b"Host: evil.example\r\n\r\n", b"400"),
        (b"GET http://evil.example/config HTTP/1.1\r\n" + host + b"\r\n", b"404"),
        (b"GET /ws HTTP/1.1\r\n" + host + socket_headers + b"\r\n", b"404"),
        (upload + b"\r\n", b"411"),
        (upload + b"Transfer-Encoding: chunked\r\n\r\n", b"411"),
        (upload + b"Content-Length: 99999999\r\n\r\n", b"413"),
        (upload + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n", b"411"),
    ):
        assert exchange(server, request).split()[1] == status, request
