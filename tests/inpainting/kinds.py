"""Image files of many kinds, each written with settings that a fill must keep."""

import imagecodecs
import numpy as np
import tifffile
from PIL import PngImagePlugin

from tests.inpainting.common import PHOTO, to_mode

LEVELS = np.ascontiguousarray(PHOTO[150:190, 150:200])
DEEP = (LEVELS.astype("uint16") * 257) ^ np.arange(50, dtype="uint16")[:, None]
ALPHA16 = np.dstack([DEEP, DEEP[..., 0]])
GRAY_ALPHA16 = DEEP[..., :2]


def photo(mode="RGB"):
    return to_mode(LEVELS, mode)


def saver(mode="RGB", **options):
    return lambda path: photo(mode).save(path, **options)


def tiff16(array, **options):
    return lambda path: tifffile.imwrite(path, array, **options)


def keyed(path):
    """Write an RGB PNG, one of whose colors is transparent."""
    photo().save(path, transparency=tuple(LEVELS[3, 4].tolist()))


def transparent_palette(path):
    photo("P").save(path, transparency=bytes([0, 100]) + bytes([255] * 40))


def gray_16_big_endian(path):
    tifffile.imwrite(path, DEEP[..., 0], byteorder=">")


def white_is_zero(path):
    tifffile.imwrite(path, LEVELS[..., 0], photometric="miniswhite")


def gamma_png(path):
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (45455).to_bytes(4, "big"))
    photo().save(path, pnginfo=info)


# Without loss: every pixel outside the hole is held to its value.
LOSSLESS = {
    **{f"{mode}.png": saver(mode) for mode in "1 L LA P RGB RGBA I;16".split()},
    "keyed.png": keyed,
    "palette.png": transparent_palette,
    "gamma.png": gamma_png,
    "rgb16.png": lambda path: path.write_bytes(imagecodecs.png_encode(DEEP)),
    "rgba16.png": lambda path: path.write_bytes(imagecodecs.png_encode(ALPHA16)),
    "la16.png": lambda path: path.write_bytes(
        imagecodecs.png_encode(np.ascontiguousarray(GRAY_ALPHA16))
    ),
    **{
        f"{mode} {compression}.tif": saver(mode, compression=compression)
        for mode, compressions in {
            "RGB": "raw tiff_lzw tiff_adobe_deflate packbits zstd",
            "RGBA": "tiff_lzw",
            "CMYK": "raw tiff_lzw",
            "L": "tiff_lzw",
            "LA": "tiff_lzw",
            "P": "tiff_lzw",
            "1": "group4 group3 tiff_ccitt tiff_lzw",
            "I;16": "tiff_lzw raw",
            "I": "tiff_lzw",
        }.items()
        for compression in compressions.split()
    },
    "big endian.tif": gray_16_big_endian,
    "white is zero.tif": white_is_zero,
    "predictor.tif": lambda path: tifffile.imwrite(
        path, LEVELS, compression="lzw", predictor=True
    ),
    "planar.tif": lambda path: tifffile.imwrite(
        path, np.moveaxis(LEVELS, -1, 0), planarconfig="separate", photometric="rgb"
    ),
    "tiled.tif": lambda path: tifffile.imwrite(path, LEVELS, tile=(16, 16)),
    "rgb16.tif": tiff16(DEEP),
    "rgb16 lzw.tif": tiff16(DEEP, compression="lzw", predictor=True, byteorder=">"),
    "rgb16 zlib.tif": tiff16(DEEP, compression="zlib"),
    "rgb16 planar.tif": tiff16(
        np.moveaxis(DEEP, -1, 0), planarconfig="separate", photometric="rgb"
    ),
    "rgba16.tif": tiff16(ALPHA16, photometric="rgb", extrasamples=["unassalpha"]),
    **{f"{mode}.bmp": saver(mode) for mode in "1 L P RGB RGBA".split()},
    **{f"{mode}.gif": saver(mode) for mode in "1 L P".split()},
    "keyed.gif": lambda path: photo("P").save(path, transparency=3),
    "L.pgm": saver("L"),
    "16.pgm": saver("I;16"),
    "1.pbm": saver("1"),
    "RGB.ppm": saver(),
    **{f"{mode}.tga": saver(mode) for mode in "L LA P RGB RGBA".split()},
    "rle.tga": saver(compression="tga_rle"),
    **{f"{mode}.jp2": saver(mode) for mode in "L LA RGB RGBA I;16".split()},
    "lossy.jp2": saver(irreversible=True, quality_layers=[20]),
    "RGB.j2k": saver(),
    "RGB.webp": saver(lossless=True),
    "RGBA.webp": saver("RGBA", lossless=True, exact=True),
    "xmp.webp": saver(lossless=True, xmp=b"<x/>", exif=b"Exif\0\0"),
}
