"""Training on several devices and machines, by the engine of each backend.

JAX has `keras.distribution.DataParallel`, TensorFlow `tf.distribute`, and PyTorch
`torch.distributed`; `docs/distribution.md` shows each. This module answers questions
that are the same for all of them.
"""

import atexit
import contextlib

import keras

match keras.backend.backend():
    case "tensorflow":
        from keras_ctsdg.training import distribution_tensorflow as _engine
    case "jax":
        from keras_ctsdg.training import distribution_jax as _engine
    case _:
        from keras_ctsdg.training import distribution_torch as _engine


def process_count():
    """Return the number of processes that train together, 1 for a single one."""
    return _engine.process_count()


def process_index():
    """Return the index of this process among those that train together, from 0 on."""
    return _engine.process_index()


def is_main_process():
    """Return whether this process writes files, as only the first one does."""
    return process_index() == 0


def shard():
    """Return the argument `shard` of the data sets of this process."""
    return process_index(), process_count()


def is_launched():
    """Return whether `torchrun`, or alike, started this process as one of several."""
    return _engine.is_launched()


def start():
    """Start the engine of the backend, as `keras-ctsdg train --distribute` does.

    Returns:
        Context in which the model is created.
    """
    scope = _engine.start()
    # PyTorch may abort a process that ends without leaving the others.
    atexit.register(stop)
    return scope


def stop():
    """End what `start` began, once the training is over or the process ends."""
    _engine.stop()


def any_process(flag, model):
    """Return whether a flag is true in any of the processes that train together.

    Each of them must call it, at the same step.

    Args:
        flag: Bool.
        model: The model that they train.
    """
    return _engine.any_process(flag, model) if process_count() > 1 else flag


def alone():
    """Return a context in which this process creates variables without the others."""
    return _engine.alone() if process_count() > 1 else contextlib.nullcontext()


def batch_multiple():
    """Return the number that must divide the batches of this process, or 0 for any."""
    return _engine.batch_multiple()
