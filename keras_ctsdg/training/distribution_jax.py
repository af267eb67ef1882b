"""Training by `keras.distribution.DataParallel`, in one process or one per host."""

import contextlib
import os

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

# Each of them says that several processes train together.
CLUSTER_VARIABLES = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "JAX_COORDINATOR_ADDRESS")


def process_count():
    return jax.process_count()


def process_index():
    return jax.process_index()


def is_launched():
    """Return false: only `--distribute` asks for this engine."""
    return False


def start():
    """Train on all devices of all processes that run the same command.

    Returns:
        Context in which the model is created.
    """
    is_cluster = any(name in os.environ for name in CLUSTER_VARIABLES)
    if is_cluster or int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        keras.distribution.initialize()
    parallel = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(parallel)
    return contextlib.nullcontext()


def stop():
    """Return to a single device."""
    keras.distribution.set_distribution(None)


def any_process(flag, _):
    """Return whether a flag is true in any process."""
    return bool(multihost_utils.process_allgather(np.asarray(flag)).any())


@contextlib.contextmanager
def alone():
    """Create variables on a device of this process, which needs no other for that."""
    everywhere = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(everywhere)


def batch_multiple():
    """Return the number of devices that share the batches of this process, or 0.

    All batches of an epoch must have weights if one of them does, also elsewhere.
    """
    distribution = keras.distribution.distribution()
    if distribution is None or distribution.batch_dim_name is None:
        return 0
    mesh = distribution.device_mesh
    size = mesh.shape[list(mesh.axis_names).index(distribution.batch_dim_name)]
    return 0 if size == 1 else max(1, size // process_count())


def own_devices():
    """Return a distribution over the devices of this process alone."""
    names = [f"{device.platform}:{device.id}" for device in jax.local_devices()]
    return keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)


def copy_to(distribution, value):
    """Return a value that all processes have, on the devices of a distribution."""
    sharding = NamedSharding(distribution.device_mesh.backend_mesh, PartitionSpec())
    # A step gives the memory of its state away, which others must keep.
    return jax.device_put(value.addressable_data(0), sharding, may_alias=False)
