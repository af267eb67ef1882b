"""Gradients on the running backend."""

import keras
import numpy as np


def compute_gradients(loss, variables):
    """Compute gradients by the means of the running backend.

    Args:
        loss: Function without arguments that returns a scalar tensor.
        variables: List of Keras variables.

    Returns:
        List of arrays, with `None` for a variable that the loss does not depend on.
    """
    values = [variable.value for variable in variables]
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                value = loss()
            result = tape.gradient(value, values)
        case "jax":
            import jax

            def stateless_loss(values):
                mapping = list(zip(variables, values, strict=True))
                with keras.StatelessScope(state_mapping=mapping):
                    return loss()

            result = jax.jit(jax.grad(stateless_loss))(values)
        case "torch":
            import torch

            result = torch.autograd.grad(loss(), values, allow_unused=True)
    return [None if g is None else keras.ops.convert_to_numpy(g) for g in result]


def assert_gradients_reach(loss, variables):
    """Assert that every variable gets a finite gradient that is not all zero."""
    gradients = compute_gradients(loss, variables)
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 0, variable.path
