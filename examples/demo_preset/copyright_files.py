"""Read Debian's machine-readable `copyright` files."""

import re
from pathlib import PurePosixPath

# Licenses that allow training, publishing weights and showing images.
ALLOWED = (
    "CC0",
    "CC0-1.0",
    "public-domain",
    "BSD-3-Clause",
    "BSD-3-clause-Google",
    "CC-BY-1.0",
    "CC-BY-2.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-2.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
)
# A name, and the rest of its line with the indented lines below it.
FIELD = re.compile(r"^([A-Za-z-]+):((?:.*\n?)(?:[ \t].*\n?)*)", re.M)


def read_paragraphs(text):
    """Return the paragraphs of a copyright file that speak of files.

    Args:
        text: Str.

    Returns:
        List of dicts with `files`, a list of patterns, `copyright`, `license` and
        `comment`, in the order of the file, where a later one takes precedence.
    """
    paragraphs = []
    for block in re.split(r"\n(?:[ \t]*\n)+", text):
        fields = dict(
            re.findall(r"^([A-Za-z-]+):((?:.*\n?)(?:[ \t].*\n?)*)", block, re.M)
        )
        if "Files" not in fields:
            continue
        license_lines = fields.get("License", "").strip().splitlines()
        paragraphs.append(
            {
                "files": fields["Files"].split(),
                "copyright": " ".join(fields.get("Copyright", "").split()),
                "license": license_lines[0].strip() if license_lines else "",
                "comment": " ".join(fields.get("Comment", "").split()),
            }
        )
    return paragraphs


def find_paragraph(paragraphs, path):
    """Return the last paragraph that applies to a file.

    The name's extension may differ, for packages convert images when they are built.

    Args:
        paragraphs: List, as `read_paragraphs` returns it.
        path: Str, the path of the file in the package's source.

    Returns:
        Dict, or `None` if no paragraph applies.
    """
    stem = str(PurePosixPath(path).with_suffix(""))
    found = None
    for paragraph in paragraphs:
        for pattern in paragraph["files"]:
            without = re.sub(r"\.(?:jpe?g|png|webp)$", "", pattern, flags=re.I)
            if _matches(pattern, path) or (
                without != pattern and _matches(without, stem)
            ):
                found = paragraph
    return found


def _matches(pattern, path):
    # Unlike in a shell, `*` and `?` match a slash too.
    regex = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(regex, path) is not None
