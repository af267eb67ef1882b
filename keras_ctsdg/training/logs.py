"""What a step reports: losses and image metrics, as means since the last reset."""

import contextlib
from typing import Any

import keras
from keras import ops

from keras_ctsdg.conventions import composite, image_to_unit
from keras_ctsdg.layers._batch_mean import batch_weights
from keras_ctsdg.training.checked_data import check_data
from keras_ctsdg.training.distribution import batch_multiple
from keras_ctsdg.training.padded_data import pad_to_multiple


class Logs(keras.Model):
    """A model with a tracker for each loss, and metrics of its images.

    `keras_ctsdg.CTSDG.__init__` sets both.
    """

    generator: Any
    loss_trackers: Any
    image_metrics: Any

    # === Batches of which others compute a part ===

    @property
    def is_shared(self):
        """Whether others compute parts of each batch, whose sums `all_sum` knows."""
        return False

    def all_sum(self, x):
        """Return the sum of a tensor over all that share a batch, with gradients."""
        return x

    def load_batch(self, batch):
        """Check a batch that is not of a data set, and let the devices divide it.

        Args:
            batch: Dict of arrays or tensors, as `check_data` takes it.
        """
        return pad_to_multiple(check_data(batch), batch_multiple())

    def whole_batch(self, inputs):
        """Return a context in which means are shares of those of the whole batch.

        Args:
            inputs: Dict of float32 tensors, as `prepare_batch` returns them.
        """
        return batch_weights(inputs.get("sample_weight"), self.all_sum)

    def sum_losses(self, values):
        """Return losses of the whole batch.

        Args:
            values: Dict of scalars, computed in `whole_batch`.
        """
        if not self.is_shared:
            return values
        sums = self.all_sum(ops.stack(list(values.values())))
        return {name: sums[i] for i, name in enumerate(values)}

    def fill_batch(self, inputs):
        """Fill a batch, for `predict`.

        Args:
            inputs: Dict of float32 tensors, as `prepare_batch` returns them.

        Returns:
            The filled images `[B, H, W, 3]`; with weights, a dict of `image` and
            `sample_weight`.
        """
        return mark_padding(self(inputs, training=False), inputs)

    def generate_on_batch(self, inputs):
        """Return all outputs of the generator for a batch, without other processes.

        Args:
            inputs: Dict of arrays, all inputs of the generator.

        Returns:
            Dict of arrays, as `keras_ctsdg.models.Generator` returns them.
        """
        return self.generator.predict_on_batch(inputs)

    # === Logs ===

    def update_metrics(self, values, inputs, output=None, is_applied=None):
        """Update the loss trackers and, given an output, the image metrics.

        Args:
            values: Dict of scalars, the losses of the batch.
            inputs: Dict of float32 tensors, as `prepare_batch` returns them. Those of
                a `sample_weight` of 0 count nothing.
            output: Tensor `[B, H, W, 3]` in [-1, 1], the generator's output. Defaults
                to `None`, which leaves the image metrics as they are.
            is_applied: Scalar bool tensor, whether a training step is applied: if not,
                the trackers stay as they are. Defaults to `None`, which stands for
                true.

        Returns:
            Dict of scalars, the logs, which are means since the last reset, or the
            losses of the batch while there is nothing else.
        """
        weights = inputs.get("sample_weight")
        if weights is None:
            size = ops.shape(inputs["image"])[0]
        else:
            size = self.all_sum(ops.sum(weights))
        logs = {}
        for name, tracker in self.loss_trackers.items():
            if name not in values:
                continue
            value = values[name]
            if is_applied is None:
                tracker.update_state(value, sample_weight=size)
                logs[name] = tracker.result()
                continue
            # NaN times a weight of 0 would be NaN.
            tracker.update_state(
                ops.where(is_applied, value, 0.0),
                sample_weight=ops.where(is_applied, size, 0),
            )
            logs[name] = ops.where(tracker.count > 0, tracker.result(), value)
        # What Keras' callbacks monitor by default.
        logs["loss"] = logs["generator_loss"]
        if output is not None:
            target, mask = inputs["image"], inputs["mask"]
            filled = composite(output, target, mask)
            for metric in self.image_metrics:
                metric.update_state(
                    image_to_unit(target), image_to_unit(filled), weights, mask=mask
                )
                with self._sums_of_all(metric):
                    logs |= metric.result()
        return logs

    @contextlib.contextmanager
    def _sums_of_all(self, metric):
        """Give the variables of an image metric their sums over all processes."""
        if not self.is_shared:
            yield
            return
        sums = [(v, self.all_sum(ops.convert_to_tensor(v))) for v in metric.variables]
        with keras.StatelessScope(sums):
            yield

    def get_metrics_result(self):
        """Return the results of the metrics in use: of all replicas, unlike logs."""
        results = {}
        for tracker in self.loss_trackers.values():
            if _has_samples(tracker):
                results[tracker.name] = tracker.result()
        for metric in self.image_metrics:
            with self._sums_of_all(metric):
                if _has_samples(metric):
                    results |= metric.result()
        if "generator_loss" in results:
            results["loss"] = results["generator_loss"]
        return results


def _has_samples(metric):
    # The conversion adds up what several replicas counted.
    return ops.convert_to_numpy(ops.convert_to_tensor(metric.count)).any()


def mark_padding(filled, batch):
    """Return filled images; of a batch with weights, a dict of `image` and these.

    Args:
        filled: Tensor `[B, H, W, 3]`.
        batch: Dict, which may have `sample_weight` `[B]`.
    """
    weights = batch.get("sample_weight")
    return filled if weights is None else {"image": filled, "sample_weight": weights}
