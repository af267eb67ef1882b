from typing import Annotated

import typer

from keras_ctsdg import list_presets
from keras_ctsdg.cli._console import print_line
from keras_ctsdg.cli._options import options_from
from keras_ctsdg.demo import serve
from keras_ctsdg.inpainting import InpaintOptions


@options_from(InpaintOptions, "memory_limit")
def demo(
    presets: Annotated[
        list[str] | None,
        typer.Argument(
            help="Presets to choose from: names, folders or `.keras` files. Without "
            "any, `demo` and all that you have installed.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes any free port.")
    ] = 7860,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the demo in the browser.")
    ] = True,
    max_upload_mb: Annotated[
        int,
        typer.Option(
            min=1,
            help="Megabytes of the largest accepted file; all together may take ten "
            "times that.",
        ),
    ] = 50,
    max_megapixels: Annotated[
        float, typer.Option(min=0.1, help="Megapixels of the largest accepted image.")
    ] = 64,
    **options,
):
    """Open a demo in the browser: drop a photo, paint over what should go, fill it.

    The demo runs on 127.0.0.1 alone and contacts no other machine. It needs the
    extra `demo`. Ctrl-C stops it and deletes all uploads.
    """
    if not presets:
        known = list_presets().items()
        presets = [name for name, entry in known if entry["installed"]]
    serve(
        presets,
        port,
        open_browser,
        max_upload_mb=max_upload_mb,
        max_megapixels=max_megapixels,
        log=print_line,
        **options,
    )
    print_line("\nStopped.")
