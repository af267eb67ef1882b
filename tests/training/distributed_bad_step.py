"""A step that fails on one of two devices, as a program.

The gradients of the second device are NaN, while all losses are finite. The weights,
statistics and optimizers of both must stay as they are.
"""

import keras
import numpy as np

from keras_ctsdg.training import distribution
from tests.common import random_batch, to_numpy
from tests.training.common import make_model
from tests.training.test_finite_steps import find_changes, read_everything

BACKEND = keras.backend.backend()


def is_second_device():
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.distribute.get_replica_context().replica_id_in_sync_group == 1
    # The devices of JAX share one batch, of which the second has the last sample.
    return BACKEND == "jax" or distribution.process_index() == 1


def make_steep(compute):
    """Return a function of the generator's losses whose derivative is infinite."""

    def compute_steeply(inputs, training):
        values, output = compute(inputs, training)
        level = keras.ops.mean(output[-1])
        # The derivative of the root is infinite at 0, and finite at 1.
        other = 1.0 - keras.ops.cast(is_second_device(), "float32")
        values["generator_loss"] += keras.ops.sqrt(other + level - level)
        return values, output

    return compute_steeply


def main():
    keras.utils.set_random_seed(1)  # So that no process takes the state of another.
    with distribution.start():
        model = make_model(run_eagerly=False)
    before, compute = read_everything(model), model.generator_losses
    model.generator_losses = make_steep(compute)
    logs = model.train_on_batch(random_batch(2), return_dict=True)
    assert logs["bad_steps"] == 1 and np.isfinite(logs["loss"]), logs
    assert int(to_numpy(model.optimizer.bad_steps_in_row.value)) == 1
    metrics = {v.path for v in model.metrics_variables}
    changed = set(find_changes(model, before)) - metrics
    assert not changed, changed

    model.generator_losses = compute
    model.make_train_function(force=True)
    logs = model.train_on_batch(random_batch(2), return_dict=True)
    assert "bad_steps" not in logs and np.isfinite(list(logs.values())).all()
    changed = find_changes(model, before)
    for name in ("kernel", "moving_mean", "/u", "velocity", "iteration", "total"):
        assert any(name in path for path in changed), name
    distribution.stop()


if __name__ == "__main__":
    main()
