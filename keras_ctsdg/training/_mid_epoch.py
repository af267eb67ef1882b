"""What callbacks do between two steps: count them, and use the model meanwhile."""

import contextlib

import keras

from keras_ctsdg.training import resumption


class EverySteps(keras.callbacks.Callback):
    """A callback whose `on_step` is called after every so many steps.

    Steps count from the first epoch, so that a resumed training goes on counting.

    Args:
        every: Int, the number of steps, or `None` for the ends of epochs alone.
    """

    def __init__(self, every):
        super().__init__()
        self.every = every
        self._first_step = self._done = 0

    def on_step(self, step):
        """Do something after a step, which is counted from 1."""
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        self._first_step = self._done = 0

    def get_state(self):
        """Return the last step that was made."""
        return self._done

    def set_state(self, state):
        """Continue after a state that `get_state` returned."""
        self._done = state

    def on_epoch_begin(self, epoch, logs=None):
        self._first_step = epoch * (self.params.get("steps") or 0) or self._first_step
        # A resumed training goes through the steps of an epoch that were made before.
        self._done = max(self._done, self._first_step)

    # Not where a step ends: Keras would then wait for the logs of each step.
    def on_train_batch_begin(self, batch, logs=None):
        self._batch = batch
        self._advance(self._first_step + batch)

    def on_epoch_end(self, epoch, logs=None):
        self._first_step += self.params.get("steps") or (
            self._batch + self.model.steps_per_execution
        )
        self._advance(self._first_step, is_end=True)

    def _advance(self, step, is_end=False):
        is_due = step // self.every > self._done // self.every if self.every else is_end
        self._done = max(self._done, step)
        if is_due:
            with model_in_fit(self.model):
                self.on_step(step)


@contextlib.contextmanager
def model_in_fit(model):
    """Let a callback evaluate and predict, and leave the sums of the epoch as they are.

    Args:
        model: The model that `fit` trains, as `Callback.model` returns it: on JAX, its
            variables then have their values.
    """
    sums = resumption.read_sums(model)
    try:
        yield
    finally:
        resumption.assign_sums(model, sums)
