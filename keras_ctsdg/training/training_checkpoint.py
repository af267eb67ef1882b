"""Checkpoints of a training, and resuming it at the step of the newest."""

import contextlib
import math
import shutil
from pathlib import Path
from typing import Any

import keras

from keras_ctsdg._checks import check_choice, check_positive, check_writable_folder
from keras_ctsdg.data import InpaintingDataset
from keras_ctsdg.training import checkpoint_files as files
from keras_ctsdg.training import resumption
from keras_ctsdg.training.checked_data import CheckedDataset
from keras_ctsdg.training.checkpoint_files import Position
from keras_ctsdg.training.checkpoint_loading import find_newest, load_checkpoint
from keras_ctsdg.training.checkpoint_options import (
    START_OF_FINE_TUNING,
    describe_training,
    describe_versions,
)
from keras_ctsdg.training.distribution import is_main_process


class TrainingCheckpoint(keras.callbacks.Callback):
    """Write checkpoints, from the newest of which the same `fit` is resumed.

    A checkpoint is a folder: `model.keras` (weights, both optimizers, spectral vectors
    and the loss scale; `keras.saving.load_model` reads it), `state.json` (sums of the
    metrics, seeds, state of the callbacks) and `manifest.json` (step, epoch, the
    options and versions, the SHA-256 of both files). It is written under another
    name, flushed to the disk, verified and renamed, so that it is whole or not there.

    A training that was killed at any step goes on from the newest checkpoint that
    verifies, with a warning for each that does not, in the midst of an epoch too. An
    `InpaintingDataset` then continues with the next batch; other data must yield the
    batches of an epoch in the same order again. Callbacks see the steps of that epoch
    that were made before with empty logs. On a CPU, all losses afterwards equal those
    of a training that was never interrupted, bit for bit.

    Args:
        folder: Path of the folder of checkpoints, of one training alone. It is created
            if it does not exist.
        every: Int, the number of steps after which a checkpoint is written. There is
            one after the last epoch, too, and after each that is the best so far.
            Defaults to `500`.
        keep: Int, the number of newest checkpoints that are kept, beside the best.
            Defaults to `3`.
        monitor: Str, the name of the log that tells the best epoch. Without
            validation, there is none. Defaults to `"val_psnr"`.
        mode: `"min"` or `"max"`, whether the log should become smaller or larger;
            with `"auto"` its name tells. Defaults to `"auto"`.
        options: Dict of further options that decide the training, of JSON's types.
            Those of the model, its compilation and an `InpaintingDataset` are known.
            Defaults to none.
        accept_changes: Bool. `True` resumes with options that differ from those of the
            checkpoint, where the weights fit. Defaults to `False`.

    Attributes:
        latest: `pathlib.Path` of the newest checkpoint, or `None`.
        best: `pathlib.Path` of the best checkpoint, or `None`.
        best_value: Float, its value of `monitor`.
        is_writer: Bool. Of several processes that train together, each resumes, and
            the first one writes.

    Raises:
        ValueError: If an argument breaks a rule above; by `fit`, if options differ, if
            no checkpoint of the folder verifies, or weights are not finite.
        OSError: By `fit`, if a checkpoint cannot be written. The others are untouched,
            and `fit` goes on from them when there is room.

    Example:

    ```python
    checkpoint = keras_ctsdg.callbacks.TrainingCheckpoint("checkpoints", every=500)
    model.fit(dataset, validation_data=validation, epochs=10, callbacks=[checkpoint])
    ```
    """

    _resumed: Any

    def __init__(
        self,
        folder,
        every=500,
        keep=3,
        monitor="val_psnr",
        mode="auto",
        options=None,
        accept_changes=False,
    ):
        super().__init__()
        self.folder = Path(folder)
        self.every = check_positive("every", every)
        self.keep = check_positive("keep", keep)
        self.monitor = monitor
        self.mode = check_choice("mode", mode, ("auto", "min", "max"))
        self.options = dict(options or {})
        self.accept_changes = accept_changes
        self.is_writer = True
        self.latest = self.best = None
        self.best_value = math.nan
        self._others, self._state, self._passed_over = [], None, []
        self._dataset, self._data, self._lock = None, None, None
        self._epoch = self._batch = self._first_step = self._saved_step = 0
        self._skipped, self._after_epoch, self._random = 0, None, None
        self._training, self._resumed = {}, None
        self._stop_skipping = lambda: None

    # === Resuming ===

    def resume(self, model, dataset, kwargs):
        """Load the newest checkpoint that verifies, if there is any.

        `keras_ctsdg.CTSDG.fit` calls this.

        Args:
            model: The compiled `keras_ctsdg.CTSDG` that `fit` trains.
            dataset: Data set as `fit` takes it.
            kwargs: Dict of keyword arguments of `fit`, with a list of callbacks.

        Returns:
            Int, the number of complete epochs.
        """
        check_writable_folder("folder", self.folder)
        self.is_writer = is_main_process()
        if self.is_writer:
            self._lock = files.lock_folder(self.folder)
            files.remove_partial_checkpoints(self.folder)
        self._others = [x for x in kwargs["callbacks"] if x is not self]
        self._dataset = dataset if isinstance(dataset, InpaintingDataset) else None
        self._training = describe_training(model, dataset, self.options)
        if kwargs.get("steps_per_epoch"):
            self._training["dataset.steps_per_epoch"] = kwargs["steps_per_epoch"]
        for callback in self._others:
            if hasattr(callback, "start_epoch"):
                self._training[START_OF_FINE_TUNING] = callback.start_epoch
            if hasattr(callback, "before_stop"):
                callback.before_stop(self._save_before_stop)
        self._state, self._saved_step, self._first_step = None, 0, 0
        found, self._passed_over = find_newest(self.folder)
        if found is None:
            return 0
        load_checkpoint(model, found, self._training, self.accept_changes)
        self._find_best()
        self._state, self.latest, self._resumed = found.state, found.path, found
        self._saved_step = found.manifest["step"]
        self._first_step = self._saved_step - found.position.step
        if self._dataset is not None:
            self._dataset.epoch = found.state["data_epoch"]
        return found.position.epoch

    def follow_data(self, data, kwargs):
        """Tell which data `fit` iterates over, to spare what is skipped the loading.

        Args:
            data: Data as it is passed to Keras.
            kwargs: Dict of keyword arguments that are passed to Keras.
        """
        in_order = not kwargs.get("shuffle", True) and not kwargs.get("steps_per_epoch")
        is_known = self._dataset is not None and isinstance(data, CheckedDataset)
        self._data = data if is_known and in_order else None

    def end(self):
        """Undo what a resumed `fit` needs, however it ended."""
        self._stop_skipping()
        if self._data is not None:
            self._data.skipped = 0
        self._data = None
        for callback in self._others:
            if hasattr(callback, "before_stop"):
                callback.before_stop(None)
        if self._lock is not None:
            self._lock.close()
        self._lock = None

    def _find_best(self):
        self.best, self.best_value = None, math.nan
        for _, path in files.find_checkpoints(self.folder):
            with contextlib.suppress(files.DamagedCheckpointError):
                self._compare(path, files.read_manifest(path).get("monitored"))

    def _compare(self, path, value):
        if self._is_better(value):
            self.best, self.best_value = path, value

    def _is_better(self, value):
        if value is None or not math.isfinite(value):
            return False
        if not math.isfinite(self.best_value):
            return True
        return (value - self.best_value) * (-1 if self.mode == "min" else 1) > 0

    # === Training ===

    def on_train_begin(self, logs=None):
        if self._state is not None:
            # The others have just reset theirs.
            resumption.restore_callbacks(self._others, self._state["callbacks"])
            seeds = resumption.seed_variables(self.model)
            resumption.assign_variables(seeds, self._state["seeds"])

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._batch, self._after_epoch = epoch, 0, None
        state, self._state, self._skipped = self._state, None, 0
        if state is not None and epoch == self._resumed.position.epoch:
            resumption.set_random_state(state["random"])
            self._skipped = self._resumed.position.step
            if self._skipped:
                resumption.assign_sums(self.model, state["metrics"])
                if state["is_complete"]:
                    logs = self.model.get_metrics_result()
                self._stop_skipping = resumption.skip_steps(
                    self.model, self._skipped, logs or {}
                )
        self._random = resumption.read_random_state()
        if self._data is not None:
            self._data.skipped = self._skipped

    def on_train_batch_begin(self, batch, logs=None):
        self._batch = batch
        step = self._first_step + batch
        if batch > self._skipped and step - self._saved_step >= self.every:
            self._save(Position(self._epoch, batch), step)

    def on_test_begin(self, logs=None):
        # The validation needs the metrics for itself.
        self._after_epoch = resumption.read_sums(self.model)

    def on_epoch_end(self, epoch, logs=None):
        self._stop_skipping()
        self._first_step += self._count_steps()
        self._random = resumption.read_random_state()
        monitored = (logs or {}).get(self.monitor)
        monitored = None if monitored is None else float(monitored)
        is_due = self._first_step - self._saved_step >= self.every
        is_last = epoch + 1 == self.params.get("epochs")
        if is_due or is_last or self._is_better(monitored):
            self._save(Position(epoch + 1, 0), self._first_step, monitored)
        self._epoch, self._batch, self._after_epoch = epoch + 1, 0, None

    def _count_steps(self):
        """Return the number of steps of the epoch that has just been trained."""
        steps = self._batch + self.model.steps_per_execution
        return min(steps, self.params.get("steps") or steps)

    def _save_before_stop(self, batch):
        """Save what was trained since the newest checkpoint.

        Args:
            batch: Int, the index of the next step of the epoch under way, or `None`
                during a validation.
        """
        count = self._count_steps() if batch is None else batch
        step = self._first_step + count
        if step > self._saved_step and count >= self._skipped:
            self._save(Position(self._epoch, count), step, metrics=self._after_epoch)

    # === Saving ===

    def _save(self, position, step, monitored=None, metrics=None):
        self._saved_step = step
        model = self.model
        # The hosts of TensorFlow add these up together.
        metrics, is_complete = metrics or resumption.read_sums(model), bool(metrics)
        if not self.is_writer:
            # All of them must know when the first one writes.
            self._compare(None, monitored)
            return
        state = {
            "metrics": metrics,
            "is_complete": is_complete,
            "seeds": resumption.read_variables(resumption.seed_variables(model)),
            "callbacks": resumption.read_callbacks(self._others),
            "random": self._random,
            "data_epoch": None if self._dataset is None else self._dataset.epoch,
        }
        options = self._training
        manifest = {
            "step": step,
            "epoch": position.epoch,
            "step_of_epoch": position.step,
            "seed": options.get("--seed", options.get("dataset.seed")),
            "monitor": self.monitor,
            "monitored": monitored,
            "options": options,
            "versions": describe_versions(),
        }
        path = files.write_checkpoint(
            self.folder, position, model.save, state, manifest
        )
        self.latest = path
        self._compare(path, monitored)
        for damaged in self._passed_over:
            shutil.rmtree(damaged, ignore_errors=True)
        self._passed_over = []
        kept = () if self.best is None else (self.best.name,)
        files.prune_checkpoints(self.folder, self.keep, kept)
