"""ONNX Runtime Web, from its package on npm."""

import hashlib
import io
import json
import shutil
import tarfile
from importlib.resources import files
from pathlib import Path

import keras

from keras_ctsdg._downloads import home_folder

NAME, VERSION = "onnxruntime-web", "1.30.0"
URL = f"https://registry.npmjs.org/{NAME}/-/{NAME}-{VERSION}.tgz"
# Of the file whose integrity npm states as sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+C
# aRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
# One build for WebGPU, and one for the CPU alone.
RUNTIME_FILES = (
    "ort.jspi.min.mjs",
    "ort-wasm-simd-threaded.jspi.mjs",
    "ort-wasm-simd-threaded.jspi.wasm",
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
# npm's package names its license without holding its text.
LICENSE_FILES = ("LICENSE", "ThirdPartyNotices.txt")


def find_package(path=None):
    """Return the package, which is downloaded once.

    Args:
        path: Path of npm's tarball, or of a folder that it was unpacked to, such as
            `node_modules/onnxruntime-web`. Defaults to `None`: the tarball in
            `npm` of the package's home folder, downloaded if it is not there.

    Returns:
        `pathlib.Path` of the tarball or the folder.

    Raises:
        OSError: If it cannot be downloaded.
        ValueError: If it is another package or version, or damaged.
    """
    if path is None:
        return _download()
    path = Path(path)
    if path.is_dir():
        manifest = path / "package.json"
        found = json.loads(manifest.read_text()) if manifest.is_file() else {}
        is_other = (found.get("name"), found.get("version")) != (NAME, VERSION)
        if is_other or not all((path / "dist" / x).is_file() for x in RUNTIME_FILES):
            _refuse(path)
    elif not path.is_file() or _hash(path) != SHA256:
        _refuse(path)
    return path


def copy_runtime(package, folder):
    """Copy the files that a page needs, and their licenses.

    Args:
        package: `pathlib.Path`, as `find_package` returns it.
        folder: `pathlib.Path` of a folder to be created.
    """
    folder.mkdir()
    if package.is_dir():
        for name in RUNTIME_FILES:
            shutil.copyfile(package / "dist" / name, folder / name)
    else:
        with tarfile.open(package) as archive:
            for name in RUNTIME_FILES:
                member = archive.extractfile(f"package/dist/{name}")
                with open(folder / name, "wb") as file:
                    shutil.copyfileobj(member or io.BytesIO(), file)
    for name in LICENSE_FILES:
        text = files("onnxruntime").joinpath(name).read_bytes()
        (folder / name).write_bytes(text)


def _download():
    home = home_folder()
    home.mkdir(parents=True, exist_ok=True)
    try:
        file = keras.utils.get_file(
            Path(URL).name, URL, file_hash=SHA256, cache_dir=home, cache_subdir="npm"
        )
    # Keras raises an error of no particular kind.
    except Exception as error:
        raise OSError(
            f"{NAME} {VERSION} cannot be downloaded: {error}. Fetch it elsewhere, by "
            f"`npm pack {NAME}@{VERSION}`, and pass the file as `--npm-package`, or "
            f"put it into {home / 'npm'}. Received: {URL}"
        ) from error
    return Path(file)


def _hash(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse(path):
    raise ValueError(
        f"`npm_package` must be the tarball of `npm pack {NAME}@{VERSION}`, or the "
        f"folder that it is unpacked to. Received: npm_package={path}"
    )
