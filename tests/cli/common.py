"""Reading what the command line prints."""

import re


def read_box(text):
    """Return the words in the boxes that Typer draws, in one line."""
    return " ".join(re.sub(r"[\u2500-\u257f]", " ", text).split())
