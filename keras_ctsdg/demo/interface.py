"""The demo's user interface, made of Gradio components."""

import html
import os
import re
import time
import traceback
from functools import partial
from pathlib import Path

from PIL import Image

from keras_ctsdg.data.formats import image_endings
from keras_ctsdg.data.sample_photos import load_sample_photos
from keras_ctsdg.demo.fill import fill
from keras_ctsdg.demo.guard import COOKIE
from keras_ctsdg.demo.images import (
    check_upload,
    decode_strokes,
    make_preview,
    to_data_url,
    to_displayable,
    write_png,
)
from keras_ctsdg.demo.sessions import Session
from keras_ctsdg.export.web import read_asset
from keras_ctsdg.inpainting import Strategy

# Photos that scikit-image ships, so that nothing is downloaded.
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
STRATEGY_INFO = (
    "full: the network sees the whole photo. crop: each hole with its surroundings. "
    "resize: the whole photo, made smaller. auto: whichever suits the photo's size."
)
# Keeps the events of the interface out of a public API. Their inputs arrive as the
# guard checked them: Gradio's own handling of files leaves an empty one each time.
PRIVATE = {"api_visibility": "private", "preprocess": False}
# Events that wait for their turn, of all pages.
QUEUE_SIZE = 20


def import_gradio():
    """Import Gradio with its telemetry switched off.

    Returns:
        The module `gradio`.

    Raises:
        ImportError: If the extra `demo` is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    try:
        import gradio
    except ImportError as error:
        raise ImportError(
            "The demo needs Gradio, which is the extra `demo`: "
            '`pip install "keras-ctsdg[demo]"`'
        ) from error
    return gradio


def make_theme():
    """Return Gradio's default theme with fonts that need no download."""
    themes = import_gradio().themes
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["monospace"]}
    theme = themes.Default(primary_hue="blue", **fonts)
    # Gradio's own color for hints has too little contrast.
    return theme.set(block_info_text_color="*body_text_color")


def build_interface(presets, files, memory_limit, max_megapixels):
    """Build the user interface.

    Args:
        presets: `keras_ctsdg.demo.fill.PresetCache`.
        files: `keras_ctsdg.demo.sessions.SessionFiles`.
        memory_limit, max_megapixels: As `keras_ctsdg.demo.fill.fill` takes them.

    Returns:
        `gradio.Blocks`.
    """
    gr = import_gradio()
    examples = _write_examples(files.folder / "examples")
    files.publish(examples.values())
    handlers = EventHandlers(presets, files, memory_limit, max_megapixels)
    with gr.Blocks(title="keras-ctsdg", analytics_enabled=False) as interface:
        gr.Markdown(
            "# Fill holes in a photo\n"
            "Add a photo, paint over what should go, and have it filled. "
            "Everything stays on this computer."
        )
        output = {"interactive": False, "format": "png", "buttons": ["fullscreen"]}
        upload = {"file_types": image_endings(), "height": 150}
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                image = gr.File(label="1. Photo", **upload)
                with gr.Row(elem_classes="examples"):
                    example_buttons = [
                        gr.Button(name, icon=path, size="sm", min_width=50)
                        for name, path in examples.items()
                    ]
                mask = gr.File(label="or a mask: white marks the hole", **upload)
            with gr.Column(scale=3):
                brush = gr.HTML(
                    "",
                    html_template=read_asset("brush.html"),
                    css_template=read_asset("brush.css"),
                    js_on_load=read_asset("brush.js"),
                    image="",
                )
        with gr.Row():
            strategy = gr.Radio(
                list(Strategy), value="auto", label="Strategy", info=STRATEGY_INFO
            )
            preset = gr.Dropdown(presets.names, value=presets.names[0], label="Preset")
        button = gr.Button("3. Fill", variant="primary")
        status = gr.Markdown()
        with gr.Row():
            before = gr.Image(label="Before", **output)
            after = gr.Image(label="After", **output)
        download = gr.DownloadButton("Download as PNG", interactive=False)

        for example_button, path in zip(
            example_buttons, examples.values(), strict=True
        ):
            example_button.click(partial(str, path), None, image, **PRIVATE)
        shown = [brush, before, after, download, status]
        image.change(
            _report_errors(handlers.show_image, files), image, shown, **PRIVATE
        ).failure(_report_errors(handlers.clear, files), None, shown, **PRIVATE)
        mask.change(_report_errors(handlers.keep_mask, files), mask, None, **PRIVATE)
        button.click(
            _report_errors(handlers.fill_image, files),
            [image, brush, mask, strategy, preset],
            [after, download, status],
            **PRIVATE,
        )
        # With such an event pages stay connected, which tells when they are closed.
        interface.unload(lambda: None)
    return interface.queue(max_size=QUEUE_SIZE)


class EventHandlers:
    """Responses to the events of the interface.

    Args:
        presets: `keras_ctsdg.demo.fill.PresetCache`.
        files: `keras_ctsdg.demo.sessions.SessionFiles`, for the results.
        memory_limit, max_megapixels: As `keras_ctsdg.demo.fill.fill` takes them.
    """

    def __init__(self, presets, files, memory_limit, max_megapixels):
        self.gr = import_gradio()
        self.presets = presets
        self.files = files
        self.memory_limit = memory_limit
        self.max_megapixels = max_megapixels

    def show_image(self, session, path):
        """Show an added photo, or nothing if it was removed; forget the one before.

        Args:
            session: `keras_ctsdg.demo.sessions.Session`.
            path: Str, path of the photo, or `None`.

        Returns:
            Tuple of updates: brush, before, after, download and status.
        """
        no_result = None, self.gr.DownloadButton(interactive=False)
        self.files.assign(session, "image", path)
        for slot in ("before", "after", "result"):
            self.files.assign(session, slot, None)
        if not path:
            return self.gr.HTML(value="", image=""), None, *no_result, ""
        check_upload(path, "image", self.max_megapixels)
        image = to_displayable(path)
        preview = make_preview(image)
        brush = self.gr.HTML(value="", image=to_data_url(preview))
        before = self._write_preview(session, "before", preview)
        return brush, before, *no_result, f"{image.width} × {image.height} pixels."

    def clear(self, session):
        """Show nothing, after a photo that could not be read."""
        return self.show_image(session, None)

    def keep_mask(self, session, path):
        """Forget the mask before this one, which may be `None`."""
        self.files.assign(session, "mask", path)

    def fill_image(self, session, path, painted, mask, strategy, preset):
        """Fill the photo.

        Args:
            session: `keras_ctsdg.demo.sessions.Session`.
            path: Str, path of the photo, or `None`.
            painted: Str, the brush strokes, as `decode_strokes` takes them.
            mask: Str, path of the mask, or `None`.
            strategy: Str, one of `Strategy`.
            preset: Str, the name of a preset.

        Returns:
            Tuple of updates: after, download and status.
        """
        start = time.monotonic()
        model = self.presets.get(preset)
        strokes = decode_strokes(painted)
        limits = self.memory_limit, self.max_megapixels
        result = fill(model, path, strokes, mask, strategy, *limits)
        target = self.files.add(session, f"{Path(path).stem}_filled.png", "result")
        write_png(result.image, target)
        filled = to_displayable(result.image)
        status = (
            f"Filled {result.hole_pixels:,} of {filled.width * filled.height:,} pixels "
            f"in {time.monotonic() - start:.1f} s; all others are unchanged."
        )
        download = self.gr.DownloadButton(value=target, interactive=True)
        after = self._write_preview(session, "after", make_preview(filled))
        return after, download, status

    def _write_preview(self, session, slot, preview):
        path = self.files.add(session, f"{slot}.png", slot)
        preview.save(path, compress_level=1)
        return path


def _write_examples(folder):
    """Write the example photos and return their paths by label."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = load_sample_photos(EXAMPLES.values())
    paths = {name: folder / f"{name.lower()}.png" for name in EXAMPLES}
    for path, photo in zip(paths.values(), photos, strict=True):
        Image.fromarray(photo).save(path)
    return paths


def _report_errors(handler, files):
    """Wrap an event handler: give it its session, show its errors without paths."""
    import gradio as gr

    def run(request: gr.Request, *inputs):
        session = Session(request.cookies[COOKIE], request.session_hash)
        # The guard left nothing but the path of a file.
        paths = [
            value["path"] if isinstance(value, dict) else value for value in inputs
        ]
        try:
            return handler(session, *paths)
        except (MemoryError, OSError, ValueError) as error:
            message = str(error) or type(error).__name__
        except Exception:
            traceback.print_exc()
            message = "An internal error occurred; the terminal shows the details."
        # Each upload is in a folder of its own.
        message = re.sub(rf"{re.escape(str(files.folder))}/([\w-]+/)*", "", message)
        raise gr.Error(html.escape(message), duration=None, print_exception=False)

    return run
