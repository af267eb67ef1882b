"""Images with 16 bits a channel in color or with alpha, which Pillow cannot hold."""

from io import BytesIO

import numpy as np
from PIL import Image

from keras_ctsdg.inpainting.containers import replace_png_pixels
from keras_ctsdg.inpainting.encodings import add_exif_tag, describe_png
from keras_ctsdg.inpainting.formats import DESCRIPTIONS
from keras_ctsdg.inpainting.previews import remove_previews

# Tags of a TIFF that describe the image, by the types of their values.
TIFF_TEXTS = (270, 271, 272, 305, 306, 315, 316, 33432)
TIFF_BYTES = (700, 33723, 34377)
ORIENTATION = 274
RGB, GRAY = 2, 1


class Image16:
    """An image of 16 bits a channel: gray with alpha, RGB or RGBA.

    `numpy.asarray` returns its levels; `keras_ctsdg.inpainting.save_image` writes it.

    Args:
        array: Uint16 array `[H, W, C]`, the stored rows; C is 2, 3 or 4.
        info: Dict of metadata, as that of a `PIL.Image.Image`. Defaults to `None`.
        orientation: Int, the EXIF orientation. Defaults to `1`, upright.
        premultiplied: Bool, whether the colors are multiplied by the alpha. Defaults
            to `False`.

    Attributes:
        mode: Str, `"16-bit"`.
        size: Tuple, the width and height of the stored rows.
    """

    mode = "16-bit"

    def __init__(self, array, info=None, orientation=1, premultiplied=False):
        self.array = array
        self.info = dict(info or {})
        self.orientation = orientation
        self.premultiplied = premultiplied

    @property
    def size(self):
        return self.array.shape[1::-1]

    @property
    def has_transparency_data(self):
        """Whether there is an alpha band."""
        return self.array.shape[2] in (2, 4)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype, copy=copy)

    def replace(self, array):
        """Return an image with the same metadata and other pixels."""
        info = remove_previews(self.info)
        return Image16(array, info, self.orientation, self.premultiplied)


def read_png16(file, info):
    """Read a PNG of 16 bits a channel.

    Args:
        file: Binary file.
        info: Dict, the `info` of Pillow's image.

    Returns:
        `Image16`, whose orientation is not read.

    Raises:
        ImportError: If imagecodecs is not installed.
    """
    file.seek(0)
    array = import_imagecodecs().png_decode(file.read())
    return Image16(array, info)


def read_tiff16(file, info):
    """Read the first page of a TIFF of 16 bits a channel.

    Args:
        file: Binary file.
        info: Dict, the `info` of Pillow's image.

    Returns:
        `Image16`.

    Raises:
        ImportError: If the compression needs imagecodecs, and it is not installed.
        ValueError: If the colors are neither gray nor RGB, or there is more than one
            channel besides.
    """
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as opened:
        page = opened.pages[0]
        if page.compression not in (1, 8, 32946, 32773):
            import_imagecodecs()
        array = page.asarray()
        if page.planarconfig == 2 and array.ndim == 3:
            array = np.ascontiguousarray(np.moveaxis(array, 0, -1))
        colors = {GRAY: 1, RGB: 3}.get(int(page.photometric))
        if (
            array.dtype != np.uint16
            or array.ndim != 3
            or array.shape[2] - (colors or 9) not in (0, 1)
        ):
            raise ValueError(
                "of the TIFFs with 16 bits a channel, those of unsigned gray, RGB or "
                "RGBA pixels are read"
            )
        orientation = page.tags.valueof(ORIENTATION, 1)
        premultiplied = tuple(page.extrasamples) == (1,)
    return Image16(array, info, orientation, premultiplied)


def write_png16(image, path, source=None):
    """Write an `Image16` as PNG.

    Args:
        image: `Image16`.
        path: Path.
        source: Path of the PNG whose metadata is kept, or `None` for that in
            `image.info`. Defaults to `None`.
    """
    encoded = import_imagecodecs().png_encode(np.ascontiguousarray(image.array))
    if source is None:
        metadata = {x: image.info[x] for x in DESCRIPTIONS if image.info.get(x)}
        if "xmp" in metadata:
            metadata["pnginfo"] = describe_png(metadata.pop("xmp"))
        if image.orientation != 1:
            metadata["exif"] = add_exif_tag(
                metadata.get("exif"), ORIENTATION, image.orientation
            )
        described = BytesIO()
        Image.new("RGB", (1, 1)).save(described, "PNG", **metadata)
        described = described.getvalue()
    else:
        with open(source, "rb") as file:
            described = file.read()
    with open(path, "wb") as file:
        file.write(replace_png_pixels(described, encoded))


def write_tiff16(image, path, source=None):
    """Write an `Image16` as TIFF.

    Args:
        image: `Image16`.
        path: Path.
        source: Path of the TIFF whose compression and tags are kept, or `None` for
            no compression and the metadata in `image.info`. Defaults to `None`.
    """
    import tifffile

    options = {"resolution": image.info.get("dpi"), "resolutionunit": 2}
    tags = []
    if image.info.get("xmp"):
        tags.append((700, 1, None, image.info["xmp"], True))
    if source is not None:
        with tifffile.TiffFile(source) as file:
            page = file.pages[0]
            options = {
                "compression": page.compression,
                "predictor": page.predictor if page.predictor != 1 else None,
                "byteorder": file.byteorder,
                "resolution": page.resolution if 282 in page.tags else None,
                "resolutionunit": page.tags.valueof(296, 2),
            }
            found = {code: page.tags.valueof(code) for code in TIFF_TEXTS + TIFF_BYTES}
        tags = [(x, 2, None, found[x], True) for x in TIFF_TEXTS if found[x]]
        tags += [(x, 1, None, bytes(found[x]), True) for x in TIFF_BYTES if found[x]]
    if image.orientation != 1:
        tags += [(ORIENTATION, 3, 1, image.orientation, True)]
    bands = image.array.shape[2]
    alpha = "assocalpha" if image.premultiplied else "unassalpha"
    tifffile.imwrite(
        path,
        image.array,
        photometric="rgb" if bands > 2 else "minisblack",
        extrasamples=[alpha] if bands in (2, 4) else None,
        planarconfig="contig",
        iccprofile=image.info.get("icc_profile"),
        metadata=None,
        software=False,
        extratags=tags,
        **options,
    )


def import_imagecodecs():
    """Import imagecodecs, an extra; ImportError names it if it is not installed."""
    try:
        import imagecodecs
    except ImportError as error:
        raise ImportError(
            "it has 16 bits a channel, for which imagecodecs must be installed: "
            'pip install "keras-ctsdg[16bit]"'
        ) from error
    return imagecodecs
