"""Stack samples into batches and send batches from worker processes."""

import multiprocessing
import os

import numpy as np

from keras_ctsdg.conventions import CHANNELS, image_to_levels, levels_to_image
from keras_ctsdg.data._skipped_files import receive_report

BINARY_KEYS = {"edge", "mask"}


def stack_samples(samples):
    """Stack samples into a batch whose arrays share one block of memory.

    Large new blocks are slow to allocate, so that one is faster than four.

    Args:
        samples: List of dicts of float32 arrays, at least one.

    Returns:
        Dict of float32 arrays with a batch axis in front.
    """
    keys = [key for key in CHANNELS if key in samples[0]]
    sizes = [len(samples) * samples[0][key].size for key in keys]
    memory = np.empty(sum(sizes), "float32")
    batch = {}
    for key, part in zip(keys, np.split(memory, np.cumsum(sizes)[:-1]), strict=True):
        batch[key] = part.reshape(len(samples), *samples[0][key].shape)
        np.stack([sample[key] for sample in samples], out=batch[key])
    return batch


def pad_batch(samples, size):
    """Stack samples and repeat the last one until the batch has the given size.

    With all batches of one size, the model is compiled once.

    Args:
        samples: List of dicts of float32 arrays, at least one.
        size: Int, at least the number of samples.

    Returns:
        Dict of float32 arrays with a batch axis in front.
    """
    return stack_samples(samples + [samples[-1]] * (size - len(samples)))


class WorkerBatch(dict):
    """A batch of a worker process, pickled in a compact form as a plain dict.

    A queue between processes copies every byte several times, and images of 8-bit
    levels and binary maps need far fewer bytes than their float32 arrays.

    Args:
        batch: Dict of arrays.
        skipped: `SkippedFiles` of the worker. What it added since the last batch is
            recorded in the process that unpickles this one.
    """

    def __init__(self, batch, skipped):
        super().__init__(batch)
        self.report = skipped.take_report()

    def __reduce__(self):
        image = self["image"]
        levels = np.rint(image_to_levels(image)).astype("uint8")
        # An augmentation can produce values between the 256 levels.
        if np.array_equal(levels_to_image(levels.astype("float32")), image):
            image = levels
        packed = {
            key: np.packbits(self[key].astype(bool))
            if key in BINARY_KEYS
            else self[key]
            for key in self
        }
        return _unpack, (self.report, packed | {"image": image})


def _unpack(report, batch):
    receive_report(*report)
    if batch["image"].dtype == np.uint8:
        batch["image"] = levels_to_image(batch["image"].astype("float32"))
    shape = (*batch["image"].shape[:3], 1)
    for key in BINARY_KEYS & batch.keys():
        bits = np.unpackbits(batch[key], count=np.prod(shape))
        batch[key] = bits.reshape(shape).astype("float32")
    return batch


def is_worker_process(main_process_id):
    """Whether this is a process of a pool, not the process with the given id."""
    return os.getpid() != main_process_id and multiprocessing.current_process().daemon
