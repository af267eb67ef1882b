"""What the browser shows, made of Gradio's components."""

import html
import os
import re
import tempfile
import time
import traceback
from functools import partial, wraps
from pathlib import Path

from PIL import Image

from keras_ctsdg.data.images import EXTENSIONS
from keras_ctsdg.demo.work import (
    check_upload,
    data_url,
    fill,
    read_shown,
    read_strokes,
    shrink,
    write_png,
)
from keras_ctsdg.inpainting import Strategy
from keras_ctsdg.quickstart import load_photos

# Photographs that scikit-image ships: no download.
EXAMPLES = {
    "Face": "astronaut",
    "Cat": "chelsea",
    "Cup": "coffee",
    "Rocket": "rocket",
}
CSS = """
.examples button { flex-direction: column; gap: 4px; padding: 4px; }
.examples img { width: 100%; height: 56px; object-fit: cover; margin: 0; }
"""
ABOUT_STRATEGIES = (
    "full: the network sees the whole picture. crop: each hole with its surroundings. "
    "resize: the whole picture, made smaller. auto: what suits its size."
)


def import_gradio():
    """Gradio, without its telemetry.

    Raises:
        ImportError: If the extra `demo` is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise ImportError(
            "The page needs Gradio, which is the extra `demo`: "
            '`pip install "keras-ctsdg[demo]"`'
        ) from error
    return gradio


def make_theme():
    """Gradio's look, in fonts that every machine has."""
    themes = import_gradio().themes
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["monospace"]}
    theme = themes.Default(primary_hue="blue", **fonts)
    # Gradio's own is too pale to read.
    return theme.set(block_info_text_color="*body_text_color")


def make_page(models, folder, memory_limit=3.0, max_megapixels=64):
    """The page.

    Args:
        models: `Models`.
        folder: Path of a folder for uploads, examples and results.
        memory_limit, max_megapixels: As `fill` takes them.

    Returns:
        `gradio.Blocks`.
    """
    gr = import_gradio()
    folder = Path(folder)
    examples = _write_examples(folder / "examples")
    work = _Work(models, folder, memory_limit, max_megapixels)
    with gr.Blocks(
        title="keras-ctsdg", analytics_enabled=False, delete_cache=(3600, 86400)
    ) as page:
        gr.Markdown(
            "# Fill a picture\n"
            "Give a picture, paint over what shall go, and have it filled. "
            "All of it stays on this machine."
        )
        private = {"api_visibility": "private"}
        shown = {"interactive": False, "format": "png", "buttons": ["fullscreen"]}
        files = {"file_types": list(EXTENSIONS), "height": 150}
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                image = gr.File(label="1. Picture", **files)
                with gr.Row(elem_classes="examples"):
                    samples = [
                        gr.Button(name, icon=path, size="sm", min_width=50)
                        for name, path in examples.items()
                    ]
                mask = gr.File(label="or a mask: white is the hole", **files)
            with gr.Column(scale=3):
                brush = gr.HTML(
                    "",
                    html_template=_asset("brush.html"),
                    css_template=_asset("brush.css"),
                    js_on_load=_asset("brush.js"),
                    picture="",
                )
        with gr.Row():
            strategy = gr.Radio(
                list(Strategy), value="auto", label="Strategy", info=ABOUT_STRATEGIES
            )
            preset = gr.Dropdown(models.names, value=models.names[0], label="Preset")
        button = gr.Button("3. Fill", variant="primary")
        status = gr.Markdown()
        with gr.Row():
            before = gr.Image(label="Before", **shown)
            after = gr.Image(label="After", **shown)
        download = gr.DownloadButton("Download as PNG", interactive=False)

        for sample, path in zip(samples, examples.values(), strict=True):
            sample.click(partial(str, path), None, image, **private)
        shows = [brush, before, after, download, status]
        image.change(_told(work.show, folder), image, shows, **private).failure(
            work.clear, None, shows, **private
        )
        button.click(
            _told(work.run, folder),
            [image, brush, mask, strategy, preset],
            [after, download, status],
            **private,
        )
    return page


class _Work:
    """What is done when something happens on the page."""

    def __init__(self, models, folder, memory_limit, max_megapixels):
        self.gr = import_gradio()
        self.models = models
        self.folder = folder
        self.memory_limit = memory_limit
        self.max_megapixels = max_megapixels

    def show(self, image):
        """A picture was given, or taken back."""
        empty = None, self.gr.DownloadButton(interactive=False)
        if not image:
            return self.gr.HTML(value="", picture=""), None, *empty, ""
        check_upload(image, "image", self.max_megapixels)
        picture = read_shown(image)
        shown = shrink(picture)
        text = f"{picture.width} × {picture.height} pixels."
        return self.gr.HTML(value="", picture=data_url(shown)), shown, *empty, text

    def clear(self):
        return self.show(None)

    def run(self, image, painted, mask, strategy, preset):
        """Fill was pressed."""
        start = time.monotonic()
        model = self.models.get(preset)
        strokes = read_strokes(painted)
        limits = self.memory_limit, self.max_megapixels
        filled = fill(model, image, strokes, mask, strategy, *limits)
        name = f"{Path(image).stem}_filled.png"
        path = Path(tempfile.mkdtemp(dir=self.folder)) / name
        write_png(filled.picture, path)
        after = read_shown(filled.picture)
        text = (
            f"Filled {filled.pixels:,} of {after.width * after.height:,} pixels in "
            f"{time.monotonic() - start:.1f} s; all others are what they were."
        )
        button = self.gr.DownloadButton(value=path, interactive=True)
        return shrink(after), button, text


def _asset(name):
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _write_examples(folder):
    """Pictures to begin with: paths by what is seen on them."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = load_photos(EXAMPLES.values())
    paths = {name: folder / f"{name.lower()}.png" for name in EXAMPLES}
    for path, photo in zip(paths.values(), photos, strict=True):
        Image.fromarray(photo).save(path)
    return paths


def _told(work, folder):
    """Work whose errors the page tells in the package's own words."""
    import gradio as gr

    @wraps(work)
    def run(*args):
        try:
            return work(*args)
        except (MemoryError, OSError, ValueError) as error:
            message = str(error) or type(error).__name__
        except Exception:
            traceback.print_exc()
            message = "This went wrong inside; the terminal says where."
        # Uploads lie in folders that are named after their content.
        message = re.sub(rf"{re.escape(str(folder))}/(\w+/)*", "", message)
        raise gr.Error(html.escape(message), duration=None, print_exception=False)

    return run
