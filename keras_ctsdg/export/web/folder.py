"""The folder of a page that fills photos in the browser, without a program behind it.

Any server of files serves it, from any folder. The brush is that of `keras-ctsdg demo`.
"""

import dataclasses
import json
from pathlib import Path

from keras_ctsdg.export.formats import PAGE_FILE, PAGE_MODEL
from keras_ctsdg.export.web.npm_package import copy_runtime, find_package
from keras_ctsdg.export.writers_torch import write_onnx

ASSETS = Path(__file__).with_name("page")
RUNTIME_FOLDER = "onnxruntime"


def read_asset(name):
    """Return the text of one of the page's files."""
    return (ASSETS / name).read_text(encoding="utf-8")


def write_page(graph, plan, path, metadata):
    """Write the page with its model and ONNX Runtime Web.

    Args:
        graph: `FillImage`.
        plan: `ExportPlan`.
        path: `pathlib.Path` to write to.
        metadata: Dict of str to str.
    """
    # What may have to be downloaded comes before the work.
    package = find_package(plan.npm_package)
    path.mkdir(exist_ok=True)
    copy_runtime(package, path / RUNTIME_FOLDER)
    onnx_plan = dataclasses.replace(plan, format="onnx")
    write_onnx(graph, onnx_plan, path / PAGE_MODEL, metadata)
    for asset in ASSETS.iterdir():
        if asset.name not in BUILDERS:
            (path / asset.name).write_text(read_asset(asset.name), encoding="utf-8")
    for name, build in BUILDERS.items():
        if build is not None:
            (path / name).write_text(build(read_asset(name)), encoding="utf-8")
    files = {
        x.relative_to(path).as_posix(): x.stat().st_size
        for x in sorted(path.rglob("*"))
        if x.is_file()
    }
    description = {**metadata, "files": files}
    (path / PAGE_FILE).write_text(json.dumps(description, indent=2) + "\n")


def _wrap_brush(code):
    """Return the brush as a module: Gradio runs its code with these three names."""
    return f"export function attachBrush(element, props, watch) {{\n{code}}}\n"


def _insert_brush(page):
    return page.replace("<!-- brush.html -->\n", read_asset("brush.html"))


# Files that are not copied as they are: how they are made, or `None` for a part.
BUILDERS = {"brush.js": _wrap_brush, "index.html": _insert_brush, "brush.html": None}
