import numpy as np
import pytest

from tests.common import random_batch, to_numpy
from tests.training.common import (
    LOSS_NAMES,
    is_image_metric,
    read_state,
    restore_state,
)


def test_partial_batches_count_by_their_size(small_model):
    full, partial = random_batch(2), random_batch(1, seed=1)
    logs, other_logs = (
        small_model.test_on_batch(batch, return_dict=True) for batch in (full, partial)
    )
    whole = {key: np.concatenate([full[key], partial[key]]) for key in full}
    evaluated = small_model.evaluate(whole, batch_size=2, verbose=0, return_dict=True)
    assert evaluated["samples"] == 3
    for name in LOSS_NAMES - {"perceptual", "style"} | {"psnr", "ssim", "mae"}:
        expected = (2 * logs[name] + other_logs[name]) / 3
        assert evaluated[name] == pytest.approx(expected, rel=1e-5), name


def test_results_come_from_the_variables(small_model):
    logs = small_model.test_on_batch(random_batch(2), return_dict=True)
    results = to_numpy(small_model.get_metrics_result())
    assert results == pytest.approx(logs, nan_ok=True)
    # Another replica has counted as much.
    for metric in (small_model.loss_trackers["hole"], small_model.image_metrics[0]):
        metric.count.assign(2 * metric.count.value)
    halved = to_numpy(small_model.get_metrics_result())
    assert halved["hole"] == pytest.approx(logs["hole"] / 2)
    assert halved["psnr"] == pytest.approx(logs["psnr"] / 2)
    small_model.train_on_batch(random_batch(2))
    names = set(small_model.get_metrics_result())
    assert names == {name for name in logs if not is_image_metric(name)}


def test_both_gradients_are_taken_before_either_update(small_model):
    """The discriminator's gradient does not depend on the generator's update."""
    start = read_state(small_model)
    generators, gradients = [], []
    for rate in (0.0, 0.1):
        restore_state(start)
        small_model.generator_optimizer.learning_rate = rate
        small_model.train_on_batch(random_batch(2))
        generators.append(small_model.generator.get_weights())
        # After one step, Adam's first moment is a tenth of the gradient.
        optimizer = small_model.discriminator_optimizer
        gradients.append(
            [
                10 * to_numpy(v.value)
                for v in optimizer.variables
                if v.path.endswith("_momentum")
            ]
        )
    assert any((x != y).any() for x, y in zip(*generators, strict=True))
    assert len(gradients[0]) == len(small_model.discriminator.trainable_variables)
    for x, y in zip(*gradients, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-5)
