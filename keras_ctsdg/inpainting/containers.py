"""What the containers of image files say that Pillow does not: chunks and boxes."""

import re
import zlib
from typing import NamedTuple

from keras_ctsdg.inpainting.previews import blank_exif_preview, remove_xmp_previews

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# The chunks that depend on the stored pixels; all others describe the image.
PNG_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
PNG_FRAME_CHUNKS = {b"acTL", b"fcTL", b"fdAT"}
# Their values count in levels of the bit depth, or in entries of the palette.
PNG_LEVEL_CHUNKS = {b"bKGD", b"hIST", b"sBIT"}
# The offset of the bit depth and the color type in a file.
PNG_KIND = slice(24, 26)


# === PNG ===


def png_chunks(data):
    """Yield the type of each chunk of a PNG, and the whole chunk, as bytes."""
    start = len(PNG_SIGNATURE)
    while start + 12 <= len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        end = start + 12 + length
        yield data[start + 4 : start + 8], data[start:end]
        start = end


def replace_png_pixels(source, encoded):
    """Return a PNG with the pixels of another one.

    Text, resolution, color profile, EXIF and any other chunk that describes the image
    are those of the source, byte for byte but for previews of the image.

    Args:
        source: Bytes of a PNG.
        encoded: Bytes of the PNG whose pixels, palette and frames are taken.

    Returns:
        Bytes of the PNG.
    """
    ignored = PNG_PIXEL_CHUNKS | PNG_FRAME_CHUNKS
    if source[PNG_KIND] != encoded[PNG_KIND]:
        ignored = ignored | PNG_LEVEL_CHUNKS
    # Color profiles must precede the palette, which backgrounds must follow.
    groups = {b"IHDR": [], b"PLTE": [], b"IDAT": []}
    group = groups[b"IHDR"]
    for kind, chunk in png_chunks(source):
        group = groups.get(kind, group)
        if kind not in ignored and zlib.crc32(chunk[4:-4]) == _crc(chunk):
            group.append(_without_previews(kind, chunk))
    parts = [PNG_SIGNATURE]
    for kind, chunk in png_chunks(encoded):
        if kind in PNG_PIXEL_CHUNKS | PNG_FRAME_CHUNKS:
            if kind == b"IDAT":
                parts += groups.pop(b"PLTE", [])
            if kind == b"IEND":
                parts += groups.pop(b"IDAT")
            parts.append(chunk)
            if kind == b"IHDR":
                parts += groups.pop(b"IHDR")
    return b"".join(parts)


def _without_previews(kind, chunk):
    clean = {b"eXIf": blank_exif_preview, b"iTXt": remove_xmp_previews}.get(kind)
    content = chunk[8:-4]
    if clean is None or clean(content) == content:
        return chunk
    content = kind + clean(content)
    length, crc = len(content) - len(kind), zlib.crc32(content)
    return length.to_bytes(4, "big") + content + crc.to_bytes(4, "big")


def _crc(chunk):
    return int.from_bytes(chunk[-4:], "big")


# === WebP ===


def is_lossless_webp(file):
    """Return whether every frame of a WebP was encoded without loss.

    Args:
        file: Binary file.
    """
    file.seek(0, 2)
    found = set(_riff_chunks(file, 12, file.tell()))
    return b"VP8L" in found and b"VP8 " not in found


def _riff_chunks(file, start, end):
    """Yield the types of the chunks between two offsets, and of those inside frames."""
    while start + 8 <= end:
        file.seek(start)
        kind = file.read(4)
        size = int.from_bytes(file.read(4), "little")
        yield kind
        if kind == b"ANMF":
            # Position, size and duration of the frame come first.
            yield from _riff_chunks(file, start + 24, start + 8 + size)
        start += 8 + size + size % 2


# === AVIF and JPEG 2000 ===


class AvifConfig(NamedTuple):
    """The bits per channel and the chroma subsampling of an AVIF."""

    bits: int
    subsampling: str


def read_avif_config(file):
    """Return the `AvifConfig` of a binary file; that of 8 bits if it states none."""
    # The box stands in the metadata at the beginning.
    found = re.search(rb"av1C\x81.(.)", _read_start(file), re.DOTALL)
    flags = found[1][0] if found else 0b1100
    bits = 12 if flags & 0x20 else 10 if flags & 0x40 else 8
    names = {0b0000: "4:4:4", 0b1000: "4:2:2", 0b1100: "4:2:0"}
    return AvifConfig(bits, "4:0:0" if flags & 0x10 else names.get(flags & 12, "4:4:4"))


def read_jpeg2000_bits(file):
    """Return the bits per channel of a JPEG 2000, from a binary file."""
    # The codestream begins with its size, and three bytes per component.
    pattern = rb"\xff\x4f\xff\x51.{36}(..)(.*)"
    found = re.search(pattern, _read_start(file), re.DOTALL)
    if found is None:
        return 8
    depths = found[2][: 3 * int.from_bytes(found[1], "big") : 3]
    return max((depth & 0x7F) + 1 for depth in depths)


def _read_start(file):
    """Return the first bytes of a file, and leave its position as it was."""
    position = file.tell()
    file.seek(0)
    start = file.read(2**20)
    file.seek(position)
    return start
