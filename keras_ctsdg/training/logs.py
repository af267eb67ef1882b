"""What a step reports: losses and image metrics, as means since the last reset."""

from typing import Any

import keras
from keras import ops

from keras_ctsdg.conventions import composite, image_to_unit


class Logs(keras.Model):
    """A model with a tracker for each loss, and metrics of its images.

    `keras_ctsdg.CTSDG.__init__` sets both.
    """

    loss_trackers: Any
    image_metrics: Any

    def update_metrics(self, values, inputs, output=None, is_applied=None):
        """Update the loss trackers and, given an output, the image metrics.

        Args:
            values: Dict of scalars, the losses of the batch.
            inputs: Dict of float32 tensors, as `prepare_batch` returns them.
            output: Tensor `[B, H, W, 3]` in [-1, 1], the generator's output. Defaults
                to `None`, which leaves the image metrics as they are.
            is_applied: Scalar bool tensor, whether a training step is applied: if not,
                the trackers stay as they are. Defaults to `None`, which stands for
                true.

        Returns:
            Dict of scalars, the logs, which are means since the last reset, or the
            losses of the batch while there is nothing else.
        """
        size = ops.shape(inputs["image"])[0]
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
                    image_to_unit(target), image_to_unit(filled), mask=mask
                )
                logs |= metric.result()
        return logs

    def get_metrics_result(self):
        """Return the results of the metrics in use: of all replicas, unlike logs."""
        results = {}
        for metric in (*self.loss_trackers.values(), *self.image_metrics):
            if ops.convert_to_numpy(metric.count.value).any():
                result = metric.result()
                results |= result if isinstance(result, dict) else {metric.name: result}
        if "generator_loss" in results:
            results["loss"] = results["generator_loss"]
        return results
