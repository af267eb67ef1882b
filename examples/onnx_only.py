"""Fill the hole in a photo with onnxruntime, NumPy and Pillow alone.

    keras-ctsdg export PRESET model.onnx --size 256 384
    python onnx_only.py model.onnx photo.jpg mask.png filled.png

White in the mask marks the hole. The network sees the whole photo at the file's size.
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image


def main(model, photo, mask, out):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    height, width = session.get_inputs()[0].shape[1:3]
    photo = Image.open(photo).convert("RGB")
    mask = Image.open(mask).convert("L").point(lambda level: 255 * (level >= 128))
    small = photo.resize((width, height), Image.Resampling.BILINEAR)
    # A pixel that mixes in any part of the hole belongs to the hole.
    small_mask = mask.convert("F").resize(small.size, Image.Resampling.BILINEAR)
    small_mask = np.asarray(small_mask) > 0
    inputs = {
        "image": np.asarray(small)[None],
        "mask": small_mask.astype("uint8")[None, ..., None],
    }
    (filled,) = session.run(["filled"], inputs)
    filled = Image.fromarray(filled[0]).resize(photo.size, Image.Resampling.BICUBIC)
    Image.composite(filled, photo, mask).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
