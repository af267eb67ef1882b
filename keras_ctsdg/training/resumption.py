"""What a resumed training needs beside the model: its place within an epoch.

Keras' `fit` begins at whole epochs. So the steps of an epoch that were made before are
gone through without being computed: callbacks see them with empty logs.
"""

import random
import sys

import keras
import numpy as np

# The state of Keras' callbacks, which they reset when a training begins.
CALLBACK_ATTRIBUTES = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "stopped_epoch"),
    keras.callbacks.ModelCheckpoint: ("best",),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
}


def skip_steps(model, count, last_logs):
    """Let the next steps of `fit` consume their batches without training on them.

    Args:
        model: A compiled `keras_ctsdg.CTSDG`.
        count: Int, the number of steps.
        last_logs: Dict, the logs of the last of these steps; the others have none.

    Returns:
        Function without arguments that makes the model train again, whatever is left.
    """
    train, made = model.train_function, 0

    def skip(*arguments):
        nonlocal made
        if made >= count:
            return train(*arguments)
        if keras.backend.backend() != "torch":  # There the batch is an argument.
            for _ in zip(range(model.steps_per_execution), arguments[-1], strict=False):
                pass
        made += model.steps_per_execution
        logs = last_logs if made >= count else {}
        # On JAX, a step takes the variables' values and returns the new ones.
        return (logs, arguments[0]) if keras.backend.backend() == "jax" else logs

    def stop():
        # It may have been made anew.
        if model.train_function is skip:
            model.train_function = train

    model.train_function = skip
    return stop


# === Metrics and seeds ===


def read_variables(variables):
    """Return the values of variables as lists, which JSON keeps bit for bit."""
    # The conversion to a tensor adds up what several devices counted.
    values = [keras.ops.convert_to_tensor(v) for v in variables]
    return [keras.ops.convert_to_numpy(value).tolist() for value in values]


def assign_variables(variables, values):
    """Assign values that `read_variables` returned."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(np.asarray(value, variable.dtype))


def read_sums(model):
    """Return the values of what a training sets to 0 where an epoch begins."""
    return read_variables(_sum_variables(model))


def assign_sums(model, values):
    """Assign values that `read_sums` returned."""
    assign_variables(_sum_variables(model), values)


def _sum_variables(model):
    return [*model.metrics_variables, model.optimizer.bad_steps]


def seed_variables(model):
    """Return the variables of seed generators, which `.keras` files do not have."""
    return [v for v in model.variables if v.path.endswith("seed_generator_state")]


def read_random_state():
    """Return the states of the random numbers of Python, NumPy and PyTorch."""
    name, keys, *rest = np.random.get_state()
    state = {"python": random.getstate(), "numpy": [name, keys.tolist(), *rest]}
    torch = _torch()
    if torch is not None:
        state["torch"] = torch.get_rng_state().numpy().tobytes().hex()
    return state


def set_random_state(state):
    """Set the states that `read_random_state` returned."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(state["numpy"])
    torch = _torch()
    if torch is not None and "torch" in state:
        values = np.frombuffer(bytes.fromhex(state["torch"]), "uint8").copy()
        torch.set_rng_state(torch.from_numpy(values))


def _torch():
    return sys.modules.get("torch") if keras.backend.backend() == "torch" else None


# === Callbacks ===


def read_callbacks(callbacks):
    """Return the states of callbacks, by class.

    Args:
        callbacks: List of callbacks. Those with methods `get_state` and `set_state`
            exchange a state of JSON's types; of Keras' own, the known ones are saved.

    Returns:
        Dict of lists, one item for each callback of a class.
    """
    states = {}
    for callback in callbacks:
        if hasattr(callback, "get_state") and hasattr(callback, "set_state"):
            state = callback.get_state()
        elif names := _attributes(callback):
            state = {name: _as_plain(getattr(callback, name, None)) for name in names}
        else:
            continue
        states.setdefault(type(callback).__name__, []).append(state)
    return states


def restore_callbacks(callbacks, states):
    """Restore what `read_callbacks` returned, for the callbacks that are there."""
    states = {name: list(values) for name, values in states.items()}
    for callback in callbacks:
        left = states.get(type(callback).__name__)
        if not left:
            continue
        state = left.pop(0)
        if hasattr(callback, "set_state"):
            callback.set_state(state)
        else:
            for name in _attributes(callback):
                setattr(callback, name, state[name])


def _attributes(callback):
    for kind, names in CALLBACK_ATTRIBUTES.items():
        if isinstance(callback, kind):
            return names
    return ()


def _as_plain(value):
    return value.item() if hasattr(value, "item") else value
