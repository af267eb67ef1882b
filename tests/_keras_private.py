"""Everything the tests use of Keras that Keras does not make public."""

from keras.src.testing import TestCase
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter
from keras.src.trainers.epoch_iterator import EpochIterator

__all__ = ["EpochIterator", "PyDatasetAdapter", "TestCase", "read_jax_training_state"]


def read_jax_training_state(model, batch):
    """Return the state that Keras passes to a model's `train_step` on JAX.

    Args:
        model: A compiled `keras.Model`.
        batch: A batch of data, from which Keras builds what is not built yet.
    """
    model._symbolic_build(data_batch=batch)
    return model._get_jax_state(
        trainable_variables=True,
        non_trainable_variables=True,
        optimizer_variables=True,
        metrics_variables=True,
    )
