"""Read files out of Qt resource archives (`.rcc`)."""

import struct
import zlib

_COMPRESSED, _DIRECTORY, _ZSTD = 1, 2, 4


def read_qt_resources(data):
    """Return a function for each file in a resource archive, by its path.

    Args:
        data: Bytes of an archive, of format version 1 to 3.

    Returns:
        Dict of str, such as `"images/cat.webp"`, and callables that return bytes.

    Raises:
        ValueError: If the data is no such archive.
    """
    if data[:4] != b"qres":
        raise ValueError(
            f"A Qt resource archive must start with b'qres'. Received: {data[:4]!r}"
        )
    version, tree, content, names = struct.unpack_from(">IIII", data, 4)
    node_size = 14 if version == 1 else 22  # Since version 2 with a date.

    def name(offset):
        (length,) = struct.unpack_from(">H", data, names + offset)
        start = names + offset + 6  # After the length and a hash.
        return data[start : start + 2 * length].decode("utf-16-be")

    def walk(index, prefix):
        node = tree + index * node_size
        name_offset, flags = struct.unpack_from(">IH", data, node)
        path = prefix + name(name_offset) if index else ""
        if flags & _DIRECTORY:
            count, first = struct.unpack_from(">II", data, node + 6)
            for child in range(first, first + count):
                yield from walk(child, path and f"{path}/")
        else:
            (offset,) = struct.unpack_from(">I", data, node + 10)
            yield path, lambda: _read(data, content + offset, flags)

    return dict(walk(0, ""))


def _read(data, start, flags):
    (length,) = struct.unpack_from(">I", data, start)
    payload = data[start + 4 : start + 4 + length]
    if flags & _ZSTD:
        raise ValueError("Files compressed by zstd cannot be read.")
    # Qt writes the size of the result in front of the stream.
    return zlib.decompress(payload[4:]) if flags & _COMPRESSED else payload
