"""How an image file was encoded, as arguments of Pillow's `save`."""

import os
from io import BytesIO

from PIL import Image, JpegImagePlugin, PngImagePlugin

from keras_ctsdg.inpainting.animations import playback_arguments
from keras_ctsdg.inpainting.containers import is_lossless_webp, read_avif_config
from keras_ctsdg.inpainting.formats import DESCRIPTIONS, FORMATS
from keras_ctsdg.inpainting.previews import (
    EXIF_PREFIX,
    remove_photoshop_previews,
    remove_previews,
    remove_xmp_previews,
)

# Compressions that keep every bit and that libtiff writes; JPEG is a case by itself.
TIFF_COMPRESSIONS = (
    "tiff_ccitt group3 group4 tiff_lzw tiff_adobe_deflate packbits zstd lzma"
).split()
# Tags that Pillow sets itself, from the pixels that it writes.
TIFF_STRUCTURE = {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 274, 277, 278, 279}
TIFF_STRUCTURE |= {284, 301, 317, 318, 319, 320, 322, 323, 324, 325, 330, 338, 339}
TIFF_STRUCTURE |= {340, 341, 347, *range(512, 522), 529, 530, 531, 532, 34675}
PHOTOMETRIC, PREDICTOR, XMP, PHOTOSHOP = 262, 317, 700, 34377
# What `DESCRIPTIONS` are called in notes.
LABELS = ("EXIF", "color profile", "XMP", "resolution")
# A size is searched for within qualities; each step encodes the image once.
QUALITIES = range(1, 101)
SAMPLE_SIDE = 512


def read_encoding(image, path):
    """Return how a file was encoded.

    Args:
        image: `PIL.Image.Image`, opened from the file and loaded.
        path: Path of the file.

    Returns:
        Dict of arguments of Pillow's `save` for the same format. Where the file does
        not tell its quality, `quality` is missing, for `estimate_quality`.
    """
    read = {
        "JPEG": _read_jpeg,
        "MPO": _read_jpeg,
        "TIFF": _read_tiff,
        "TGA": lambda image: {"compression": image.info.get("compression")},
        "JPEG2000": lambda image: {"comment": image.info.get("comment")},
        "AVIF": lambda image: _read_avif(path),
        "HEIF": lambda image: {"chroma": image.info.get("chroma")},
        "WEBP": lambda image: _read_webp(path),
    }.get(image.format, lambda image: {})
    return {key: x for key, x in read(image).items() if x is not None}


def _read_avif(path):
    with open(path, "rb") as file:
        return {"subsampling": read_avif_config(file).subsampling}


def _read_webp(path):
    with open(path, "rb") as file:
        is_lossless = is_lossless_webp(file)
    return FORMATS["WEBP"].defaults if is_lossless else {"exact": True}


def _read_jpeg(image):
    sampling = JpegImagePlugin.get_sampling(image)
    tables = [image.quantization[key] for key in sorted(image.quantization)]
    options = {
        # Pillow knows no rarer sampling, and full chroma keeps most of it.
        "subsampling": max(sampling, 0),
        "progressive": bool(image.info.get("progressive")),
        # Pillow writes fixed Huffman codes else; the pixels are the same.
        "optimize": True,
        "comment": image.info.get("comment"),
        "extra": b"".join(_keep_segments(image)),
    }
    if image.mode == "CMYK":
        # A coarser second table was for chroma, which Pillow does not write then.
        return {**options, "qtables": tables[:1], "subsampling": 0}
    if image.mode == "RGB":
        names = bytes(layer[0] for layer in image.layer)
        options["keep_rgb"] = names == b"RGB" or image.info.get("adobe_transform") == 0
    return {**options, "qtables": tables}


def _keep_segments(image):
    """Yield the segments of a JPEG with IPTC captions and the rest of a long XMP."""
    for name, content in image.applist:
        is_xmp = name == "APP1" and content.startswith(b"http://ns.adobe.com/xmp/ext")
        if name == "APP13":
            content = remove_photoshop_previews(content)
        if name == "APP13" or is_xmp:
            marker = bytes([0xFF, 0xE0 + int(name[3:])])
            yield marker + (len(content) + 2).to_bytes(2, "big") + content


def _read_tiff(image):
    compression = image.info.get("compression", "raw")
    if compression in ("tiff_jpeg", "jpeg"):
        # Only these modes have a JPEG in a TIFF.
        is_jpeg = image.mode in ("L", "RGB", "CMYK", "YCbCr")
        compression = "jpeg" if is_jpeg else "tiff_adobe_deflate"
    elif compression not in ("raw", *TIFF_COMPRESSIONS):
        compression = "tiff_adobe_deflate"
    tags = image.getexif()
    kept = Image.Exif()
    kept.endian = tags.endian
    for tag in tags:
        if tag not in TIFF_STRUCTURE:
            kept[tag] = tags.get_ifd(tag) if tag in (34665, 34853) else tags[tag]
    for tag, clean in (
        (XMP, remove_xmp_previews),
        (PHOTOSHOP, remove_photoshop_previews),
    ):
        if isinstance(kept.get(tag), bytes):
            kept[tag] = clean(kept[tag])
    stored = getattr(image, "tag_v2", {})
    if image.mode in ("1", "L") and stored.get(PHOTOMETRIC) == 0:
        kept[PHOTOMETRIC] = 0
    if compression in ("tiff_lzw", "tiff_adobe_deflate") and image.mode != "1":
        if stored.get(PREDICTOR) == 2:
            kept[PREDICTOR] = 2
    return {"compression": compression, "exif": kept}


def save_arguments(source, image, image_format, quality, index=0):
    """Return the arguments of Pillow's `save` for an image.

    Args:
        source: `keras_ctsdg.inpainting.stored_images.StoredImage` whose encoding and
            metadata are kept as far as the format has them, or `None`.
        image: `PIL.Image.Image` to be written.
        image_format: Str, a key of `FORMATS`.
        quality: Int in [1, 100], or `None` for the source's.
        index: Int, the index of the image in a file of several. Defaults to `0`.

    Returns:
        Dict.
    """
    kind = FORMATS[image_format]
    encoding = None
    if source is not None and _family(source.format) == _family(image_format):
        encoding = source.encodings[index]
    metadata = image.info if source is None or index else source.info
    metadata = remove_previews(metadata)
    options = {x: metadata[x] for x in kind.metadata if metadata.get(x)}
    exif = options.get("exif", b"")
    if _family(image_format) == "JPEG" and exif and not exif.startswith(EXIF_PREFIX):
        # Other formats store the block without what tells it from other segments.
        options["exif"] = EXIF_PREFIX + exif
    if "transparency" in image.info and image_format == "PNG":
        options["transparency"] = image.info["transparency"]
    if options.get("xmp") and encoding is None:
        if image_format == "TIFF":
            options["exif"] = add_exif_tag(options.get("exif"), XMP, options["xmp"])
        if image_format == "PNG":
            options["pnginfo"] = describe_png(options["xmp"])
    options |= kind.defaults if encoding is None else encoding
    if encoding is not None and image_format == "TIFF":
        # Its tags have the resolution in its own unit.
        options.pop("dpi", None)
    has_quality = kind.has_quality or options.get("compression") == "jpeg"
    if quality is not None and has_quality:
        for name in ("qtables", "lossless"):
            options.pop(name, None)
        options["quality"] = quality
    elif (
        encoding is not None
        and has_quality
        and not options.keys() & {"qtables", "lossless"}
    ):
        options["quality"] = estimate_quality(source, options)
    return options


def _family(image_format):
    return "JPEG" if image_format == "MPO" else image_format


def add_exif_tag(exif, tag, value):
    """Return an EXIF block with one more tag.

    Args:
        exif: Bytes, or `None` for an empty block.
        tag: Int.
        value: Its value.

    Returns:
        `PIL.Image.Exif`.
    """
    tags = Image.Exif()
    tags.load(exif or b"")
    tags[tag] = value
    return tags


def describe_png(xmp):
    """Return the XMP of a PNG, as Pillow's `save` takes it.

    Args:
        xmp: Bytes.

    Returns:
        `PIL.PngImagePlugin.PngInfo`.
    """
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace").rstrip("\0"))
    return chunks


def name_losses(source, image_format):
    """Return what a format does not hold of the metadata of a source.

    Args:
        source: `keras_ctsdg.inpainting.stored_images.StoredImage`.
        image_format: Str, a key of `FORMATS`.

    Returns:
        List of str, a sentence or none.
    """
    lost = [
        label
        for name, label in zip(DESCRIPTIONS, LABELS, strict=True)
        if source.info.get(name) and name not in FORMATS[image_format].metadata
    ]
    if image_format != "PNG" and source.text:
        lost.append("text")
    if image_format == source.format == "TIFF" and source.frames[0].mode == "16-bit":
        lost += ["EXIF"] if source.info.get("exif") else []
    return [f"{image_format} is written without its {', '.join(lost)}."] if lost else []


def estimate_quality(source, options):
    """Return the lowest quality at which a source encodes to at least its own size.

    Pixels that were encoded at some quality encode to about the same size again. For
    WebP and AVIF this finds a quality that is a little above the original one. Of a
    large image the center stands for the whole, which is encoded once.

    Args:
        source: `keras_ctsdg.inpainting.stored_images.StoredImage`.
        options: Dict of the other arguments of Pillow's `save`.

    Returns:
        Int in [1, 100].
    """
    # Metadata would add to both sizes.
    options = {x: y for x, y in options.items() if x not in DESCRIPTIONS}
    size = os.path.getsize(source.path)
    size -= sum(len(source.info.get(x) or b"") for x in DESCRIPTIONS[:3])
    whole = [frame.copy() for frame in source.frames]
    sample = [_crop_center(frame) for frame in source.frames]
    if sample[0].size != whole[0].size:
        middle = QUALITIES[len(QUALITIES) // 2]
        size *= _encoded_size(source, sample, middle, options)
        size /= _encoded_size(source, whole, middle, options)
    low, high = QUALITIES[0], QUALITIES[-1]
    while low < high:
        middle = (low + high) // 2
        if _encoded_size(source, sample, middle, options) >= size:
            high = middle
        else:
            low = middle + 1
    return low


def _crop_center(image):
    width, height = (min(side, SAMPLE_SIDE) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _encoded_size(source, frames, quality, options):
    if len(frames) > 1:
        options = options | playback_arguments(source.format, frames, source.playback)
    file = BytesIO()
    frames[0].save(file, source.format, quality=quality, **options)
    return file.tell()
