"""Matching of a checkpoint's tensors with variables, and assignment of values."""

import numpy as np


def match(network, state, names, argument):
    """Find the variable of each tensor of a checkpoint.

    Counters of batch normalization, and the aliases under which the authors'
    discriminator saves tensors a second time, are skipped.

    Args:
        network: The `keras.Model` to be filled.
        state: Dict of the checkpoint's names and arrays, kernels as
            `[out, in, height, width]`.
        names: Dict of the checkpoint's names and the paths of our variables. It must
            cover `state` exactly.
        argument: Str, the name of `state` in errors.

    Returns:
        List of pairs (variable, array), kernels as `[height, width, in, out]`.

    Raises:
        ValueError: If tensors are missing, unexpected, of another shape or not
            finite; all are listed.
    """
    variables = {variable.path: variable for variable in network.weights}
    state = {name: value for name, value in state.items() if not _is_skipped(name)}
    problems = [f"missing: {name}" for name in names if name not in state]
    problems += [f"unexpected: {name}" for name in state if name not in names]
    assignments = []
    for name, path in names.items():
        if name not in state:
            continue
        value, variable = np.asarray(state[name]), variables[path]
        expected = _source_shape(tuple(variable.shape))
        if value.shape != expected:
            problems.append(f"misshapen: {name} {value.shape}, expected {expected}")
        elif not np.isfinite(value).all():
            problems.append(f"not finite: {name}")
        elif value.ndim == 4:
            assignments.append((variable, value.transpose(2, 3, 1, 0)))
        else:
            assignments.append((variable, value.reshape(variable.shape)))
    if problems:
        raise ValueError(
            f"`{argument}` must hold exactly the network's tensors. "
            f"Received: {len(state)} tensors with these problems:\n  "
            + "\n  ".join(problems)
        )
    return assignments


def _is_skipped(name):
    """Return whether a tensor is a counter, or an alias of a branch's convolution."""
    return name.endswith("num_batches_tracked") or "_branch.features." in name


def _source_shape(shape):
    """Return the shape that a variable of ours has in a checkpoint."""
    if len(shape) == 4:
        return (shape[3], shape[2], shape[0], shape[1])
    # Checkpoints hold scalars as arrays of one element.
    return shape or (1,)


def assign_weights(assignments):
    """Assign values to variables and release each value.

    Args:
        assignments: List of pairs (variable, array). It is empty afterwards.
    """
    while assignments:
        variable, value = assignments.pop()
        variable.assign(value)
