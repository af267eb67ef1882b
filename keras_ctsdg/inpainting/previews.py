"""Small copies of an image in its metadata, which would go on showing what is filled.

Cameras and editors store them in EXIF, XMP and Photoshop's resources.
"""

import re
import struct

EXIF_PREFIX = b"Exif\0\0"
BYTE_ORDERS = {b"II": "<", b"MM": ">"}
# Tags with the offset and the length of a preview: as a JPEG, and as raw pixels.
PREVIEW_TAGS = ((513, 514), (273, 279))
XMP_PREVIEWS = re.compile(rb"<xmp:Thumbnails>.*?</xmp:Thumbnails>", re.DOTALL)
PHOTOSHOP_PREFIX = b"Photoshop 3.0\0"
PHOTOSHOP_PREVIEWS = {1033, 1036}


def remove_previews(info):
    """Return metadata without the previews in its EXIF and XMP.

    Args:
        info: Dict, as the `info` of a `PIL.Image.Image`.

    Returns:
        Dict.
    """
    cleaned = dict(info)
    for key, clean in (("exif", blank_exif_preview), ("xmp", remove_xmp_previews)):
        if isinstance(info.get(key), bytes):
            cleaned[key] = clean(info[key])
    return cleaned


def blank_exif_preview(exif):
    """Return an EXIF block whose preview is unlinked and overwritten by zeros.

    Args:
        exif: Bytes, with or without the prefix that JPEGs have.

    Returns:
        Bytes of the same length: all other offsets stay valid.
    """
    block = bytearray(exif)
    start = len(EXIF_PREFIX) if exif.startswith(EXIF_PREFIX) else 0
    order = BYTE_ORDERS.get(exif[start : start + 2])
    if order is None:
        return exif

    def read(form, offset):
        return struct.unpack_from(order + form, block, start + offset)[0]

    try:
        first = read("I", 4)
        link = first + 2 + 12 * read("H", first)
        # The second directory describes the preview alone.
        second = read("I", link)
        if second == 0:
            return exif
        entries = range(second + 2, second + 2 + 12 * read("H", second), 12)
        values = {read("H", entry): read("I", entry + 8) for entry in entries}
        struct.pack_into(order + "I", block, start + link, 0)
    except struct.error:
        return exif  # It is damaged, and nothing finds a preview in it.
    for offset_tag, length_tag in PREVIEW_TAGS:
        begin = start + values.get(offset_tag, len(block))
        end = min(begin + values.get(length_tag, 0), len(block))
        block[begin:end] = bytes(max(end - begin, 0))
    return bytes(block)


def remove_xmp_previews(xmp):
    """Return XMP, as bytes, without its previews."""
    return XMP_PREVIEWS.sub(b"", xmp)


def remove_photoshop_previews(resources):
    """Return Photoshop's resources without its previews.

    Args:
        resources: Bytes, with or without the prefix that JPEGs have.

    Returns:
        Bytes.
    """
    start = len(PHOTOSHOP_PREFIX) if resources.startswith(PHOTOSHOP_PREFIX) else 0
    kept = [resources[:start]]
    while resources[start : start + 4] == b"8BIM" and start + 12 <= len(resources):
        number = int.from_bytes(resources[start + 4 : start + 6], "big")
        # A name with its length, and the content, each of an even number of bytes.
        size = start + 6 + (resources[start + 6] // 2 + 1) * 2
        end = size + 4 + int.from_bytes(resources[size : size + 4], "big")
        end += end % 2 if start % 2 == 0 else (end + 1) % 2
        if number not in PHOTOSHOP_PREVIEWS:
            kept.append(resources[start:end])
        start = end
    return b"".join([*kept, resources[start:]])
