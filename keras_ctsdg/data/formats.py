"""The image formats that Pillow opens, and files that are no such image."""

import functools

from PIL import Image

from keras_ctsdg._downloads import describe_failed_download

# For EPS Pillow starts Ghostscript, and for WMF it calls Windows. It recognizes the
# others without being able to decode them.
REFUSED_FORMATS = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
HEIF_ENDINGS = {".heic", ".heics", ".heif", ".heifs", ".hif"}
# Pillow opens the small preview in most of them, as a TIFF.
RAW_ENDINGS = set(
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw .orf "
    ".pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f".split()
)
OTHER_ENDINGS = set(
    ".ai .bpg .djvu .emf .eps .exr .hdp .hdr .jxl .jxr .kra .ps .psb .svg .svgz .wdp "
    ".wmf .xcf".split()
)
DNG_VERSION_TAG = 50706
# The first bytes of what is often taken for an image.
SIGNATURES = {
    b"%!PS": "it is PostScript, for which Pillow would start another program",
    b"%PDF": "it is a PDF",
    b"\xff\x0a": "it is a JPEG XL, which Pillow does not open",
    b"\0\0\0\x0cJXL ": "it is a JPEG XL, which Pillow does not open",
    b"v/1\1": "it is an OpenEXR, which Pillow does not open",
}
ZIP_SIGNATURE = b"PK\3\4"
ARCHIVE_SIGNATURES = {
    ZIP_SIGNATURE: "it is a zip that is cut short, or the first part of a split one",
    b"PK\7\x08": "it is the first part of a split zip; join the parts",
    b"\x1f\x8b": "it is packed by gzip; unpack it, or pack its files as a zip",
    b"BZh": "it is packed by bzip2; unpack it, or pack its files as a zip",
    b"\xfd7zXZ\0": "it is packed by xz; unpack it, or pack its files as a zip",
    b"\x28\xb5\x2f\xfd": "it is packed by zstd; unpack it, or pack its files as a zip",
    b"7z\xbc\xaf\x27\x1c": "it is a 7z; unpack it, or pack its files as a zip",
    b"Rar!": "it is a RAR; unpack it, or pack its files as a zip",
}
TAR_SIGNATURE, TAR_OFFSET = b"ustar", 257
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
SIGNATURE_LENGTH = 512
NEEDS_HEIF = 'HEIF needs the extra `heif`: `pip install "keras-ctsdg[heif]"`'
IS_RAW = "a raw photo; develop it to a TIFF or a PNG"


def open_formats():
    """Return the names of the formats that Pillow decodes by itself or by a plugin."""
    _register_heif()
    Image.init()
    return [name for name in Image.OPEN if name not in REFUSED_FORMATS]


def image_endings():
    """Return the endings, such as `".png"`, of the files that Pillow opens."""
    formats = set(open_formats())
    endings = Image.registered_extensions().items()
    known = {ending for ending, name in endings if name in formats}
    return sorted(known - RAW_ENDINGS)


def why_not_taken(ending, taken):
    """Return why a file in a folder is no image that can be opened.

    Args:
        ending: Str, lowercase.
        taken: The endings of `image_endings`.

    Returns:
        Str; `None` if the file is opened, or never was an image.
    """
    if ending in taken:
        return None
    if ending in RAW_ENDINGS:
        return IS_RAW
    if ending in HEIF_ENDINGS:
        return NEEDS_HEIF
    if ending in OTHER_ENDINGS:
        return "Pillow does not open it"
    return None


def describe_archive(head):
    """Return which archive a file is that is no complete zip.

    Args:
        head: Bytes, its first `SIGNATURE_LENGTH`.

    Returns:
        Str, or `None` if it is none.
    """
    if head[TAR_OFFSET:].startswith(TAR_SIGNATURE):
        return "it is a tar; unpack it, or pack its files as a zip"
    return _find_signature(head, ARCHIVE_SIGNATURES)


def describe_content(head):
    """Return what a file is that Pillow cannot identify.

    Args:
        head: Bytes, its first `SIGNATURE_LENGTH`.

    Returns:
        Str, or `None` if it is unknown.
    """
    if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS:
        return NEEDS_HEIF
    text = head.lstrip().lower()
    if text.startswith((b"<svg", b"<!doctype svg")) or (
        text.startswith(b"<?xml") and b"<svg" in text
    ):
        return "it is an SVG, which Pillow does not open"
    if head.startswith(ZIP_SIGNATURE):
        return "it is a zip"
    return (
        describe_failed_download(head)
        or describe_archive(head)
        or _find_signature(head, SIGNATURES)
    )


def _find_signature(head, signatures):
    return next((x for key, x in signatures.items() if head.startswith(key)), None)


def check_is_not_raw(image, ending):
    """Refuse a raw photo, of which Pillow would read the small preview.

    Args:
        image: `PIL.Image.Image`, open.
        ending: Str, of its file, lowercase.

    Raises:
        ValueError: If it is one.
    """
    tags = getattr(image, "tag_v2", ())
    if ending in RAW_ENDINGS or DNG_VERSION_TAG in tags:
        raise ValueError(f"it is {IS_RAW}")


@functools.cache
def _register_heif():
    """Register the plugin of the extra `heif`, if it is installed."""
    Image.init()
    if "HEIF" in Image.OPEN:
        return
    try:
        import pillow_heif
    except ImportError:
        return
    pillow_heif.register_heif_opener()
