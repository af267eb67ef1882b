"""Programs on two devices, or in two processes, which tests make of one CPU."""

import json
import os

import keras

from tests.processes import FAST_COMPILATION, free_ports, start_python

BACKEND = keras.backend.backend()

# Two logical devices of TensorFlow.
TWO_CPUS = """
import runpy, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
logical = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, logical)
from keras_ctsdg.training import distribution_tensorflow
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
distribution_tensorflow.start = strategy.scope
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def start_program(module, *arguments, **environment):
    """Start a module of the tests as a program, and return its process."""
    environment = {"KERAS_BACKEND": BACKEND, **environment}
    return start_python("-W", "ignore", "-m", module, *arguments, **environment)


def start_on_two_devices(module, *arguments):
    """Start a program on JAX or TensorFlow, and return a list of its process."""
    if BACKEND == "tensorflow":
        environment = {"KERAS_BACKEND": BACKEND}
        code = ("-W", "ignore", "-c", TWO_CPUS, module)
        return [start_python(*code, *arguments, **environment)]
    flags = os.environ.get("XLA_FLAGS", FAST_COMPILATION["XLA_FLAGS"])
    flags += " --xla_force_host_platform_device_count=2"
    return [start_program(module, *arguments, XLA_FLAGS=flags)]


def start_two_processes(module, *arguments):
    """Start a program twice, to train together, and return a list of both processes."""
    return [
        start_program(module, *arguments, **environment)
        for environment in two_environments(BACKEND)
    ]


def two_environments(backend):
    """Return the environment variables of two processes that train together."""
    ports = free_ports(2)
    describe = {"torch": _torch, "jax": _jax, "tensorflow": _tensorflow}[backend]
    return [describe(rank, ports) for rank in range(2)]


def _torch(rank, ports):
    """Return what `torchrun` tells a process."""
    return {
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(ports[0]),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
    }


def _jax(rank, ports):
    return {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"localhost:{ports[0]}",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
        "KERAS_DISTRIBUTION_PROCESS_ID": str(rank),
    }


def _tensorflow(rank, ports):
    workers = [f"localhost:{port}" for port in ports]
    task = {"type": "worker", "index": rank}
    return {"TF_CONFIG": json.dumps({"cluster": {"worker": workers}, "task": task})}
