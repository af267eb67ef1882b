"""Finds the variable of each tensor of a checkpoint, and assigns its value."""

import numpy as np


def match(network, state, names, argument):
    """Finds the variable of each tensor of a source.

    Args:
        network: The `keras.Model` to be filled.
        state: Dict of the source's names and arrays, kernels as
            `[out, in, height, width]`.
        names: Dict of the source's names and the paths of our variables.
        argument: Str, what an error calls `state`.

    Returns:
        List of pairs (variable, array), kernels as ours are.

    Raises:
        ValueError: If tensors are missing, unexpected, of another shape or not
            finite; all are listed.
    """
    variables = {variable.path: variable for variable in network.weights}
    state = {name: value for name, value in state.items() if not _ignored(name)}
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
            f"`{argument}` must hold the network's tensors, all and no others. "
            f"Received: {len(state)} tensors, of which do not fit:\n  "
            + "\n  ".join(problems)
        )
    return assignments


def _ignored(name):
    """Counters, and `features`, under which a branch's `conv1` is saved again."""
    return name.endswith("num_batches_tracked") or "_branch.features." in name


def _source_shape(shape):
    """Our shape as the source has it: kernels turned, scalars as one element."""
    if len(shape) == 4:
        return (shape[3], shape[2], shape[0], shape[1])
    return shape or (1,)


def assign_weights(assignments):
    """Assign values to variables, releasing each value.

    Args:
        assignments: List of pairs (variable, array), which is empty afterwards.
    """
    while assignments:
        variable, value = assignments.pop()
        variable.assign(value)
