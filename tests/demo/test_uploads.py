"""What uploads may take, how long they stay, and images that are made to harm."""

import json
import struct
import time
import zlib
from base64 import b64encode
from pathlib import Path

import gradio_client
import pytest
from PIL import Image

from keras_ctsdg.demo import sessions
from keras_ctsdg.demo.images import PNG_PREFIX, to_data_url
from keras_ctsdg.demo.sessions import BudgetError, Session, SessionFiles
from tests.demo.page import IMAGE, Page, list_files, to_file, to_png, upload_both

pytestmark = pytest.mark.backend_independent


def wait_for(condition):
    for _ in range(100):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("This did not happen within five seconds.")


def png_of_size(width, height):
    """A PNG that claims a size, with hardly any data."""

    def chunk(name, data):
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b"")


def gif_of_size(width, height):
    screen = struct.pack("<HHBBB", width, height, 0, 0, 0)
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0)
    return b"GIF89a" + screen + frame + b"\x02\x01\x00\x00;"


def bmp_of_size(width, height):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + header + bytes(46)


def to_strokes(data):
    return PNG_PREFIX + b64encode(data).decode()


@pytest.mark.parametrize("make", [png_of_size, gif_of_size, bmp_of_size])
def test_bombs_as_photo_and_mask_are_refused(page, make):
    _, mask = upload_both(page)
    photo = page.upload(to_png(IMAGE)).json()[0]
    for size in ((65_000, 65_000), (65_535, 1_000)):
        bomb = page.upload(make(*size)).json()[0]
        for error in (
            page.show(to_file(bomb)),
            page.fill(to_file(bomb), "", to_file(mask)),
            page.fill(to_file(photo), "", to_file(bomb)),
        ):
            assert "must have at most 64 megapixels" in error
            assert str(page.tab) not in error and "/tmp" not in error


def test_files_for_other_programs_are_refused(page):
    """Pillow would start Ghostscript for PostScript, whatever the file is called."""
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\n"
    for data in (postscript, b"<svg xmlns='http://www.w3.org/2000/svg'/>", b""):
        photo = page.upload(data).json()[0]
        assert "`image` cannot be read: cannot identify" in page.show(to_file(photo))


def test_bombs_as_strokes_are_refused(page):
    photo, _ = upload_both(page)
    for data in (
        to_strokes(png_of_size(65_000, 65_000)),
        to_strokes(png_of_size(9_000, 9_999)),
        to_strokes(png_of_size(1_025, 1)),
        to_strokes(png_of_size(64, 48)),
        to_strokes(gif_of_size(64, 48)),
        to_strokes(b""),
        "data:image/svg+xml,<svg/>",
        "file:///etc/passwd",
        "\0",
        "é",
    ):
        error = page.fill(to_file(photo), data)
        assert error.startswith("`strokes` must be a PNG with no side above 1024"), data
    painted = Image.new("RGBA", (64, 48))
    painted.paste("red", (10, 10, 30, 20))
    *_, status = page.fill(to_file(photo), to_data_url(painted))
    assert status.startswith("Filled 200")


def test_events_of_another_shape_are_refused(page):
    event = page.show_event
    good = {"data": [None], "fn_index": event, "session_hash": page.tab}
    for body in (
        *(b"", b"null", b"[]", b"{", b"\xff", b"[" * 200_000, b'{"data":' * 100_000),
        *({**good, name: value} for name in good for value in (None, [], {}, "", -1)),
        *({**good, "data": data} for data in ([], [None] * 2, {"0": None}, "x")),
        *({**good, "session_hash": tab} for tab in ("../x", "a b", "a" * 65, 7)),
        {**good, "fn_index": 10**6},
        {**good, "data": ["x" * 9 * 2**20]},
    ):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = page.http.post("/gradio_api/queue/join", content=content)
        assert response.status_code in (400, 413, 422), body
    assert page.show(None)[-1] == ""


def test_uploads_have_a_budget_and_are_deleted_with_their_page(page, server):
    before = list_files(server.folder)
    megabyte = bytes(2**20)
    other = Page(server, "budget")
    answers = [other.upload(megabyte).status_code for _ in range(20)]
    assert answers == [200] * 9 + [413] * 11
    assert "All uploads together must take at most 10 MB" in page.upload(megabyte).text
    taken = sum(path.stat().st_size for path in list_files(server.folder))
    assert taken - sum(path.stat().st_size for path in before) < 10 * 2**20
    other.close()
    wait_for(lambda: list_files(server.folder) == before)
    for _ in range(3):
        # A photo or a mask replaces the one before.
        photo, mask = upload_both(page)
        page.show(to_file(photo))
        page.run(page.mask_event, [to_file(mask)])
        after, *_ = page.fill(to_file(photo), "", to_file(mask))
    names = [Path(path).name for path in set(list_files(server.folder)) - set(before)]
    expected = "after.png before.png mask.png photo.png photo_filled.png"
    assert sorted(names) == expected.split()
    page.show(None)
    names = [Path(path).name for path in set(list_files(server.folder)) - set(before)]
    assert names == ["mask.png"]
    page.close()
    wait_for(lambda: list_files(server.folder) == before)
    assert page.http.get(after["url"]).status_code == 403


def test_uploads_that_are_refused(page, server):
    before = list_files(server.folder)
    url = "/gradio_api/upload"
    form = {"content-type": "multipart/form-data; boundary=x"}
    for response, status in (
        (page.upload(bytes(2**20 + 1)), 413),
        (page.upload(bytes(2**21)), 413),
        (page.http.post(url, data={"files": "text"}), 400),
        (page.http.post(url, content=b"x", headers=form), 400),
        (page.http.post(url, content=b"x"), 400),
        (page.http.post(url, content=iter([b"x"]), headers=form), 411),
        (page.upload(b"x", session_hash="../x"), 400),
    ):
        assert response.status_code == status, response.text
    assert list_files(server.folder) == before
    for name in ("../../x.png", "/etc/x.png", "x\0.png", "<b>", "..", "é" * 300):
        path = Path(page.upload(b"x", name).json()[0])
        assert path.parent.parent == server.folder
        assert path.read_bytes() == b"x"
    two = [("files", ("a.png", b"1")), ("files", ("b.png", b"2"))]
    (path,) = page.http.post(url, files=two).json()
    assert Path(path).read_bytes() == b"1"


def test_gradio_client_finds_nothing_to_call(server, tmp_path):
    (tmp_path / "secret.png").write_bytes(to_png(IMAGE))
    client = gradio_client.Client(server.address, verbose=False)
    api = client.view_api(return_format="dict", print_info=False)
    assert not api["named_endpoints"] and not api["unnamed_endpoints"]
    for event in (4, 7):
        with pytest.raises(ValueError, match="Invalid function index"):
            client.predict(to_file(str(tmp_path / "secret.png")), fn_index=event)


def test_idle_files_are_deleted(tmp_path, monkeypatch):
    files = SessionFiles(tmp_path, budget=3 * sessions.SMALLEST)
    pages = [Session("browser", tab) for tab in ("idle", "open", None)]
    paths = [files.add(page, "a", size=0) for page in pages]
    with pytest.raises(BudgetError, match="ten times"), files.reserve(0):
        raise AssertionError("Empty files count, too.")
    with files.open(pages[1]):
        files.delete_idle()
        assert all(path.parent.exists() for path in paths)
        monkeypatch.setattr(sessions, "IDLE_SECONDS", -1)
        files.delete_idle()
        assert [path.parent.exists() for path in paths] == [False, True, False]
        with files.reserve(sessions.SMALLEST * 2), pytest.raises(BudgetError):
            files.reserve(1).__enter__()
    assert not list(tmp_path.iterdir())
    # Whoever floods the server with names of tabs does not fill its memory.
    monkeypatch.setattr(sessions, "MAX_TABS", 10)
    assert all(files.is_own(Session("browser", str(tab))) for tab in range(100))
    assert not files.is_own(Session("other", "99"))
