"""Fill the hole in a photo on a server; README.md says how to start one.

    python client.py http://localhost:8501/v1/models/ctsdg photo.jpg mask.png filled.png

White in the mask marks the hole.
"""

import json
import sys
from urllib.request import Request, urlopen

import numpy as np
from PIL import Image, ImageOps


def main(url, photo, mask, out):
    photo = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
    mask = Image.open(mask).convert("L").point(lambda level: level >= 128)
    inputs = {
        "image": np.asarray(photo, "uint8")[None].tolist(),
        "mask": np.asarray(mask, "uint8")[None, ..., None].tolist(),
    }
    request = Request(
        f"{url}:predict",
        json.dumps({"inputs": inputs}).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request) as response:
        outputs = json.load(response)["outputs"]
    Image.fromarray(np.array(outputs["filled"][0], "uint8")).save(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
