"""Training by `tf.distribute`, on several devices or machines."""

import json
import os

import tensorflow as tf

from keras_ctsdg.data import InpaintingDataset


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

    def count():
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.constant(float(flag)))

    strategy = model.distribute_strategy
    return bool(strategy.experimental_local_results(strategy.run(count))[0] > 0)


def batch_multiple():
    """Return 0: `tf.distribute` divides batches, and `fill_up` mends its parts."""
    return 0


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


def distribute_shard(dataset, strategy):
    """Divide the batches of this process among its own replicas.

    By default `tf.distribute` divides every batch among all processes, of which each
    must then load all batches.

    Args:
        dataset: Data set of any kind.
        strategy: The `tf.distribute.Strategy` of the model.

    Returns:
        `tf.distribute.DistributedDataset`, or the data as they are if they are no
        shard.
    """
    # The data set may be one that checks the batches of another.
    source = getattr(dataset, "dataset", dataset)
    is_shard = isinstance(source, InpaintingDataset) and source.shard[1] > 1
    if not is_shard or process_count() == 1:
        return dataset
    replicas = strategy.num_replicas_in_sync // process_count()
    first = dataset[0]
    keys = sorted({"sample_weight": None, **first})
    shapes = {key: tf.TensorSpec((None, *first[key].shape[1:])) for key in first}
    shapes["sample_weight"] = tf.TensorSpec((None,))

    def load(index):
        batch = dataset[int(index)]
        weights = tf.ones([len(batch["image"])])
        return [{"sample_weight": weights, **batch}[key] for key in keys]

    def read(index):
        batch = tf.numpy_function(load, [index], [tf.float32] * len(keys))
        for key, x in zip(keys, batch, strict=True):
            x.set_shape(shapes[key].shape)
        return dict(zip(keys, batch, strict=True))

    def divide(batch):
        size = -(-tf.shape(batch["image"])[0] // replicas)

        def part(i):
            start = tf.cast(i, "int32") * size
            return {key: x[start : start + size] for key, x in batch.items()}

        return tf.data.Dataset.range(replicas).map(part)

    def make(_):
        batches = tf.data.Dataset.range(dataset.num_batches)
        batches = batches.map(read, num_parallel_calls=max(1, dataset.workers))
        parts = batches if replicas == 1 else batches.flat_map(divide)
        return parts.prefetch(replicas)

    return strategy.distribute_datasets_from_function(make)
