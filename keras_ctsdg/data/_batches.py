"""How a batch is put together, and how it travels from a worker process."""

import multiprocessing
import os

import numpy as np

from keras_ctsdg.conventions import image_to_levels, levels_to_image
from keras_ctsdg.data._skipped import merge

KEYS = ("image", "gray", "edge", "mask")
BINARY = {"edge", "mask"}


def stack(items):
    """A batch of items, in one piece of memory: fresh pages are few if it is large."""
    keys = [key for key in KEYS if key in items[0]]
    sizes = [len(items) * items[0][key].size for key in keys]
    memory = np.empty(sum(sizes), "float32")
    batch = {}
    for key, part in zip(keys, np.split(memory, np.cumsum(sizes)[:-1]), strict=True):
        batch[key] = part.reshape(len(items), *items[0][key].shape)
        np.stack([item[key] for item in items], out=batch[key])
    return batch


class PackedBatch(dict):
    """A batch that is packed when it is pickled, and comes out as a plain dict.

    A queue between processes copies every byte several times; masks, edges and
    images hold fewer than their float32 arrays.

    Args:
        batch: Dict of arrays.
        skipped: `Skipped` of the worker, whose news the data set in the process that
            unpacks the batch receives.
    """

    def __init__(self, batch, skipped):
        super().__init__(batch)
        self.news = skipped.take_news()

    def __reduce__(self):
        image = self["image"]
        levels = np.rint(image_to_levels(image)).astype("uint8")
        # After an augmentation there may be more than 256 levels.
        if np.array_equal(levels_to_image(levels.astype("float32")), image):
            image = levels
        packed = {
            key: np.packbits(self[key].astype(bool)) if key in BINARY else self[key]
            for key in self
        }
        return _unpack, (self.news, packed | {"image": image})


def _unpack(news, batch):
    merge(*news)
    if batch["image"].dtype == np.uint8:
        batch["image"] = levels_to_image(batch["image"].astype("float32"))
    shape = (*batch["image"].shape[:3], 1)
    for key in BINARY & batch.keys():
        bits = np.unpackbits(batch[key], count=np.prod(shape))
        batch[key] = bits.reshape(shape).astype("float32")
    return batch


def is_worker(owner):
    """Whether this is a pool's process, and not the one with the id `owner`."""
    return os.getpid() != owner and multiprocessing.current_process().daemon
