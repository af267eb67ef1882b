from typing import Annotated

import typer

from keras_ctsdg.cli._console import print_line
from keras_ctsdg.presets import upload_preset


def upload(
    preset: Annotated[str, typer.Argument(help="A preset's folder or name.")],
    handle: Annotated[
        str,
        typer.Argument(help="hf://owner/name or kaggle://owner/model/keras/variation."),
    ],
    private: Annotated[
        bool, typer.Option("--private", help="A new repository is private.")
    ] = False,
):
    """Upload a preset with its model card to the Hugging Face hub or to Kaggle.

    Log in once with the hub's own tool: `hf auth login`, or `kagglehub.login()`.
    """
    print_line(f"Uploaded to {upload_preset(preset, handle, private)}")
