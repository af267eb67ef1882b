"""Training by `tf.distribute`, on several devices or machines."""

import contextlib
import functools
import itertools
import json
import os

import keras
import numpy as np
import tensorflow as tf


def process_count():
    return max(1, len(_workers()))


def process_index():
    if not _workers():
        return 0
    task = _cluster().get("task", {})
    return _workers().index((task.get("type"), int(task.get("index", 0))))


def _cluster():
    """Return the cluster that `TF_CONFIG` describes, as a dict that may be empty."""
    return json.loads(os.environ.get("TF_CONFIG") or "{}")


def _workers():
    """Return kind and index of each process that trains, the chief first."""
    cluster = _cluster().get("cluster", {})
    return [
        (kind, index)
        for kind in ("chief", "worker")
        for index in range(len(cluster.get(kind, ())))
    ]


def is_launched():
    """Return false: only `--distribute` asks for this engine."""
    return False


def start():
    """Use all devices: of this machine, or of all that `TF_CONFIG` lists.

    Returns:
        Context in which the model is created.
    """
    if process_count() > 1:
        return tf.distribute.MultiWorkerMirroredStrategy().scope()
    return tf.distribute.MirroredStrategy().scope()


def stop():
    """Do nothing: a strategy ends with its models."""


def any_process(flag, model):
    """Return whether a flag is true in any process."""

    strategy = model.distribute_strategy
    counts = _counting_function(strategy)(tf.constant(float(flag)))
    return bool(strategy.experimental_local_results(counts)[0] > 0)


@functools.lru_cache
def _counting_function(strategy):
    """Return a compiled function that adds up a scalar over all devices."""

    def count(x):
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(x))

    return tf.function(lambda x: strategy.run(count, args=(x,)))


def alone():
    """Return a context that does nothing: variables are created by each process."""
    return contextlib.nullcontext()


def batch_multiple():
    """Return 0, or 1 if there are several processes.

    `tf.distribute` divides batches, and `fill_up` mends its parts. All batches of all
    processes must have weights if one of them does.
    """
    return 0 if process_count() == 1 else 1


def fill_up(inputs):
    """Give a part of a batch at least one sample, of weight 0 if there is none.

    Args:
        inputs: Dict of tensors, `[B, ...]` each.

    Returns:
        Dict of tensors, with `sample_weight` `[B]`.
    """
    size = tf.shape(inputs["image"])[0]
    inputs = {"sample_weight": tf.ones([size]), **inputs}
    missing = tf.maximum(1 - size, 0)

    def fill(x):
        shape = tf.concat([[missing], tf.shape(x)[1:]], axis=0)
        return tf.concat([x, tf.zeros(shape, x.dtype)], axis=0)

    return {key: fill(tf.convert_to_tensor(x)) for key, x in inputs.items()}


# === Data of several hosts ===


def distribute_batches(data, strategy, shuffle=False):
    """Divide the batches of this process among its own replicas.

    By default `tf.distribute` divides every batch among all processes: of data that
    each process loads its own part of, a part alone would be used.

    Args:
        data: Checked data of any kind, or `None`.
        strategy: The `tf.distribute.Strategy` of the model.
        shuffle: Bool, whether the batches of a `PyDataset` come in another order in
            each epoch. Defaults to `False`.

    Returns:
        `tf.distribute.DistributedDataset`; the data as they are, if there is only one
        process or they are distributed already.
    """
    is_distributed = hasattr(data, "element_spec") and not hasattr(data, "map")
    if process_count() == 1 or data is None or is_distributed:
        return data
    if hasattr(data, "element_spec"):
        batches = data
    elif hasattr(data, "num_batches") and data.num_batches is not None:
        batches = _read_by_index(data, shuffle)
    else:
        batches = _read_in_order(data)
    replicas = strategy.num_replicas_in_sync // process_count()

    def divide(batch):
        size = -(-tf.shape(batch["image"])[0] // replicas)

        def part(i):
            start = tf.cast(i, "int32") * size
            return {key: x[start : start + size] for key, x in batch.items()}

        return tf.data.Dataset.range(replicas).map(part)

    def make(_):
        parts = batches if replicas == 1 else batches.flat_map(divide)
        return parts.prefetch(replicas)

    return strategy.distribute_datasets_from_function(make)


class FollowData(keras.callbacks.Callback):
    """Do what Keras does with a `PyDataset` that it reads itself.

    Tell the data where epochs begin and end, and callbacks the number of steps.

    Args:
        data: `keras.utils.PyDataset`, which `distribute_batches` reads.
    """

    def __init__(self, data):
        super().__init__()
        self.data = data

    def on_train_begin(self, logs=None):
        # All callbacks share the dict.
        if self.params.get("steps") is None:
            self.params["steps"] = self.data.num_batches

    def on_epoch_begin(self, epoch, logs=None):
        self.data.on_epoch_begin()

    def on_epoch_end(self, epoch, logs=None):
        self.data.on_epoch_end()


def _read_by_index(dataset, shuffle):
    """Return a `tf.data.Dataset` of the batches of a `PyDataset`, as it now is."""
    specs = _specs_of(dataset[0])

    def load(index):
        batch = dataset[int(index)]
        return [np.asarray(batch[key], "float32") for key in specs]

    def read(index):
        batch = tf.numpy_function(load, [index], [tf.float32] * len(specs))
        for spec, x in zip(specs.values(), batch, strict=True):
            x.set_shape(spec.shape)
        return dict(zip(specs, batch, strict=True))

    indices = tf.data.Dataset.range(dataset.num_batches)
    if shuffle:
        indices = indices.shuffle(dataset.num_batches)
    return indices.map(read, num_parallel_calls=max(1, dataset.workers))


def _read_in_order(data):
    """Return a `tf.data.Dataset` of the batches of a generator or another iterable."""
    if hasattr(data, "__getitem__") and hasattr(data, "num_batches"):
        data = map(data.__getitem__, itertools.count())  # It has no end.
    batches = iter(data)
    first = next(batches)
    if batches is data:  # It cannot begin anew.
        data = itertools.chain([first], batches)

    def load():
        for batch in data:
            batch = _without_tuple(batch)
            yield {key: np.asarray(x, "float32") for key, x in batch.items()}

    specs = _specs_of(_without_tuple(first))
    return tf.data.Dataset.from_generator(load, output_signature=specs)


def _without_tuple(batch):
    return batch[0] if isinstance(batch, (list, tuple)) else batch


def _specs_of(batch):
    shapes = {key: (None, *np.shape(x)[1:]) for key, x in sorted(batch.items())}
    return {key: tf.TensorSpec(shape, tf.float32) for key, shape in shapes.items()}
