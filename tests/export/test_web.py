"""The folder of the page: its files, ONNX Runtime Web, and what is refused."""

import hashlib
import json
import re
import tarfile

import pytest

from keras_ctsdg.export.exported_model import is_exported_file
from keras_ctsdg.export.formats import format_of_path, plan_export
from keras_ctsdg.export.web import folder, npm_package, write_page
from tests.export.web import write_package

pytestmark = pytest.mark.backend_independent


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A stand-in for npm's package, and for the wheel that holds the licenses."""
    wheel = tmp_path / "wheel"
    wheel.mkdir()
    for name in npm_package.LICENSE_FILES:
        (wheel / name).write_text(f"the {name}")
    monkeypatch.setattr(npm_package, "files", lambda name: wheel)
    return write_package(tmp_path / "package")


@pytest.fixture
def page(package, tmp_path, monkeypatch):
    def write(graph, plan, path, metadata):
        assert (plan.format, plan.dtype) == ("onnx", "float16")
        path.write_bytes(b"model")

    monkeypatch.setattr(folder, "write_onnx", write)
    plan = plan_export(tmp_path / "page", "web", npm_package=package)
    write_page(None, plan, plan.path, {"height": "256", "width": "256"})
    return plan.path


def test_folder_is_complete(page):
    description = json.loads((page / "keras_ctsdg.json").read_text())
    assert description["height"] == "256"
    sizes = description["files"]
    assert sizes["model.onnx"] == 5
    names = {x.relative_to(page).as_posix() for x in page.rglob("*") if x.is_file()}
    assert set(sizes) == names - {"keras_ctsdg.json"}
    assert (page / "onnxruntime" / "LICENSE").read_text() == "the LICENSE"
    index = (page / "index.html").read_text()
    # The brush of the demo is part of the page.
    assert 'class="strokes"' in index and "brush.html" not in index
    assert "export function attachBrush" in (page / "brush.js").read_text()
    scripts = [x.read_text() for x in page.glob("*.js")]
    needed = re.findall(r'(?:src|href)="([\w./]+)"', index)
    needed += re.findall(r'from "\./([\w.]+)"', "".join(scripts))
    assert len(needed) > 8 and set(needed) <= names | {"keras_ctsdg.json"}


def test_page_names_no_other_site(page):
    for path in page.glob("*.*"):
        links = re.findall(r"https?://[^\"'\s]+", path.read_text())
        assert set(links) <= {"https://pypi.org/project/keras-ctsdg/"}, path
    policy = re.search(r'Policy" content="(.*?)"', (page / "index.html").read_text())[1]
    assert "default-src 'self'" in policy and "unsafe-inline" not in policy
    assert " 'unsafe-eval'" not in policy and "http" not in policy


def test_folder_is_known_again(page, tmp_path, package):
    assert format_of_path(page) == "web" and is_exported_file(page)
    plan_export(page, "web", npm_package=package)
    for options in ({"overwrite": False}, {"format": "savedmodel"}):
        with pytest.raises(ValueError, match="must not exist, unless"):
            plan_export(page, **{"format": "web", **options})
    # The page of somebody else.
    other = tmp_path / "other"
    other.mkdir()
    (other / "index.html").touch()
    with pytest.raises(ValueError, match="must not exist, unless"):
        plan_export(other, "web")


def test_options(tmp_path):
    plan = plan_export(tmp_path / "page", "web", size=(128, 256), dtype="int8")
    assert (plan.dtype, plan.size) == ("int8", (128, 256))
    with pytest.raises(ValueError, match='"uint8" for `format="web"`'):
        plan_export(tmp_path / "page", "web", image_dtype="float32")
    with pytest.raises(ValueError, match="web: a folder"):
        plan_export(tmp_path / "page.onnx", "web")


def pack(package, path):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(package, "package")
    return path


def test_tarball(package, tmp_path, monkeypatch):
    path = pack(package, tmp_path / "package.tgz")
    with pytest.raises(ValueError, match=r"npm pack onnxruntime-web@.* Received: npm_"):
        npm_package.find_package(path)
    monkeypatch.setattr(
        npm_package, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest()
    )
    assert npm_package.find_package(str(path)) == path
    npm_package.copy_runtime(path, tmp_path / "copied")
    for name in npm_package.RUNTIME_FILES:
        expected = (package / "dist" / name).read_text()
        assert (tmp_path / "copied" / name).read_text() == expected


def test_other_folders_are_refused(package, tmp_path):
    assert npm_package.find_package(package) == package
    old = write_package(tmp_path / "old", "1.0.0")
    for path in (old, tmp_path, tmp_path / "missing"):
        with pytest.raises(ValueError, match="must be the tarball"):
            npm_package.find_package(path)
    (package / "dist" / "ort.wasm.min.mjs").unlink()
    with pytest.raises(ValueError, match="must be the tarball"):
        npm_package.find_package(package)


def test_download_is_kept_and_its_failure_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(tmp_path / "home"))
    (tmp_path / "a.tgz").write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    monkeypatch.setattr(npm_package, "URL", (tmp_path / "a.tgz").as_uri())
    with pytest.raises(OSError, match=r"npm pack .*--npm-package.*home"):
        npm_package.find_package()
    monkeypatch.setattr(npm_package, "SHA256", digest)
    expected = tmp_path / "home" / "npm" / "a.tgz"
    assert npm_package.find_package() == expected
    (tmp_path / "a.tgz").unlink()
    assert npm_package.find_package() == expected
    assert expected.read_bytes() == b"content"
