from typing import Annotated

import typer
from rich.console import Console


def demo(
    presets: Annotated[
        list[str] | None,
        typer.Argument(
            help="Presets to choose from: names, folders or `.keras` files. All that "
            "are installed, if none is given.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 takes any that is free.")
    ] = 7860,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
    memory_limit: Annotated[
        float, typer.Option(help="Gigabytes for the network.")
    ] = 3.0,
    max_upload_mb: Annotated[
        int, typer.Option(min=1, help="The largest file that is taken.")
    ] = 50,
    max_megapixels: Annotated[
        float, typer.Option(min=0.1, help="The largest picture that is taken.")
    ] = 64,
):
    """Show a page in the browser: drop a picture, paint the hole, see it filled.

    It is on 127.0.0.1 alone and asks no other machine for anything. Needs the
    extra `demo`. Ctrl-C ends it, and what was uploaded is gone.
    """
    from keras_ctsdg import list_presets
    from keras_ctsdg.demo import serve

    if not presets:
        known = list_presets().items()
        presets = [name for name, about in known if about["installed"]]
    console = Console()
    serve(
        presets,
        port,
        open_browser,
        memory_limit,
        max_upload_mb,
        max_megapixels,
        tell=lambda line: console.print(line, highlight=False, soft_wrap=True),
    )
    console.print("\nEnded.")
