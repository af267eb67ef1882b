"""Docstrings in Keras' style for mkdocstrings, which reads those of Google."""

import re
import textwrap

import griffe


class KerasDocstrings(griffe.Extension):
    """Rewrite what Keras' style has and Google's lacks, before it is parsed."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = rewrite(obj.docstring.value)

    def on_attribute_instance(self, *, attr, **kwargs):
        # The option of a dataclass: its first argument is the default value.
        value = attr.value
        if isinstance(value, griffe.ExprCall) and value.canonical_name == "_option":
            attr.value = value.arguments[0]


def rewrite(text):
    """Return a docstring of Keras' style with sections as Google's parser takes them.

    Text behind "Returns:" would be cut at its first colon, as a type. References are a
    list, and examples follow their title without indentation, where Markdown would take
    `>>>` for quotations.

    Args:
        text: Str, a docstring without its indentation.
    """
    text = text.replace("Call arguments:\n", "Keyword Args: Call arguments:\n")
    text = re.sub(
        r"^(Returns|Yields|Reference):\n((?: {4}.*\n?|\n)+)",
        lambda found: f"**{found[1]}:**\n\n{textwrap.dedent(found[2])}",
        text,
        flags=re.M,
    )
    text = re.sub(r"^Example:$", "**Example:**", text, flags=re.M)
    return re.sub(
        r"^>>> .*(?:\n.+)*",
        lambda found: f"```pycon\n{found[0]}\n```",
        text,
        flags=re.M,
    )
