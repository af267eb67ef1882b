"""Several devices, which a test makes of one CPU, in a process of its own."""

import keras
import pytest

from tests.processes import run_python

# Five samples in batches of four: the last batch has one for two devices.
PARTIAL_BATCH = """
import keras, numpy as np
from tests.common import random_batch
from tests.training.common import make_model
keras.distribution.set_distribution(
    keras.distribution.DataParallel(auto_shard_dataset=False)
)
model = make_model()
parts = [random_batch(2), random_batch(2, seed=1), random_batch(1, seed=2)]
data = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
for method in (model.fit, model.evaluate, model.predict):
    try:
        method(data, batch_size=4, verbose=0)
    except ValueError as error:
        assert "should evenly divide" in str(error), error
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
logs = model.train_on_batch(random_batch(2), return_dict=True)
assert np.isfinite(logs["generator_loss"])
assert model.predict_on_batch(random_batch(2)).shape == (2, 128, 128, 3)
"""


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="is a distribution of JAX")
def test_model_stays_usable_after_a_batch_that_the_devices_do_not_divide():
    flags = "--xla_force_host_platform_device_count=2"
    run_python(PARTIAL_BATCH, backend="jax", XLA_FLAGS=flags)
