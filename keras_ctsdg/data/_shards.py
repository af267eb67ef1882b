"""Batches that several processes share, each of which loads a part of every one."""

import numpy as np

from keras_ctsdg.data._batches import pad_batch, stack_samples
from keras_ctsdg.data.images import ImageError


def count_batches(dataset):
    """Return the number of batches in an epoch, which is the same on all shards.

    Args:
        dataset: A `keras_ctsdg.data.InpaintingDataset`.
    """
    # Processes that train together wait for each other in every batch.
    total, size = _total_samples(dataset), dataset.batch_size * dataset.shard[1]
    return total // size if dataset.drop_remainder else -(-total // size)


def load_batch(dataset, index):
    """Load this shard's part of a batch.

    Where the parts of the shards would not be equal, a sample is repeated with a
    `sample_weight` of 0. All batches have weights, because those of an epoch must have
    the same keys, and nobody knows before which samples are skipped.

    Args:
        dataset: A `keras_ctsdg.data.InpaintingDataset`.
        index: Int, the index of the batch.

    Returns:
        Dict of float32 arrays, of several shards with `sample_weight` `[B]`.

    Raises:
        ImageError: If no sample of the batch can be used.
    """
    _, count = dataset.shard
    first = index * dataset.batch_size
    last = min(first + dataset.batch_size, dataset.num_samples)
    samples = _load_usable(dataset, range(first, last))
    if count == 1:
        if not samples:
            raise _no_sample_error(dataset, index)
        return stack_samples(samples)
    missing = _total_samples(dataset) - first * count
    size = -(-min(dataset.batch_size * count, missing) // count)
    weights = (np.arange(size) < len(samples)).astype("float32")
    samples = samples or _load_usable(dataset, range(dataset.num_samples), limit=1)
    if not samples:
        raise _no_sample_error(dataset, index)
    return {**pad_batch(samples, size), "sample_weight": weights}


def _total_samples(dataset):
    """Return the number of samples in an epoch of all shards."""
    if dataset.steps_per_epoch is None:
        return len(dataset.images)
    return dataset.num_samples * dataset.shard[1]


def _load_usable(dataset, indices, limit=None):
    """Return the samples of indices, without those that are skipped."""
    samples = []
    for index in indices:
        sample = dataset.sample(index)
        if sample is not None:
            samples.append(sample)
        if len(samples) == limit:
            break
    return samples


def _no_sample_error(dataset, index):
    # Keras waits for every batch, and an empty one has no mean loss.
    first = index * dataset.batch_size
    indices = range(first, min(first + 5, dataset.num_samples))
    names = [dataset.source_names(i)[0] for i in indices]
    return ImageError(
        f"A batch must have an image that can be used; batch {index} has none."
        " Choose another `batch_size`, or use `keras-ctsdg evaluate --on-error"
        f" skip`. Received: batch_size={dataset.batch_size}, {names}"
    )
