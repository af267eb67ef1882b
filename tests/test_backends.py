"""Files that cross backends, and imports: each runs in a process of its own."""

import json

import keras
import numpy as np
import pytest

from tests.common import optimizer_slots, random_batch
from tests.processes import run_python
from tests.training.common import make_model

BACKENDS = ("tensorflow", "jax", "torch")
# Tests on one backend check one pair. Those on all three close the ring.
NEXT_BACKEND = dict(zip(BACKENDS, BACKENDS[1:] + BACKENDS[:1], strict=True))

RESUME = """
import json, sys
import keras, numpy as np
import keras_ctsdg
from tests.common import optimizer_slots, random_batch
folder = sys.argv[1]
model = keras.saving.load_model(f"{folder}/model.keras")
model.run_eagerly = keras.backend.backend() == "tensorflow"
batch = random_batch(2)
np.save(f"{folder}/{keras.backend.backend()}.npy", model.predict_on_batch(batch))
np.savez(f"{folder}/{keras.backend.backend()}.npz", *optimizer_slots(model))
loaded = keras_ctsdg.from_preset(f"{folder}/preset")
assert np.allclose(loaded.predict_on_batch(batch), model.predict_on_batch(batch))
logs = [model.train_on_batch(batch, return_dict=True) for _ in range(2)]
print(json.dumps([{k: float(v) for k, v in step.items()} for step in logs]))
"""

IMPORT = f"""
import sys, keras
before = set(sys.modules)
import keras_ctsdg
new = set(sys.modules) - before
heavy = {{"keras_hub", "skimage", "scipy", "typer"}}
others = set({BACKENDS}) - {{keras.backend.backend()}}
assert not new & (heavy | others), new & (heavy | others)
"""

TRAIN = """
assert "tensorflow" not in sys.modules, "import keras_ctsdg"
from keras_ctsdg.models import VGG16Features
from tests.common import random_batch
from tests.training.common import make_model
VGG16Features(weights=None)
make_model().fit(random_batch(2), verbose=0)
assert "tensorflow" not in sys.modules, "a training step"
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Save a model in training, and return what it does next.

    Returns:
        Tuple of the folder of its file and preset, its prediction, the variables of
        its optimizers, and the logs of its next two steps.
    """
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("saved")
    # Adam with a larger rate would amplify rounding errors of near-zero gradients.
    model = make_model(
        generator_optimizer=keras.optimizers.SGD(1e-3, momentum=0.9),
        discriminator_optimizer=keras.optimizers.Adam(1e-5),
    )
    batch = random_batch(2)
    model.train_on_batch(batch)
    model.save(folder / "model.keras")
    model.save_to_preset(folder / "preset")
    slots = optimizer_slots(model)
    prediction = model.predict_on_batch(batch)
    steps = [model.train_on_batch(batch, return_dict=True) for _ in range(2)]
    return folder, prediction, slots, steps


# `test_generations.py` trains a file of each backend in the quick run.
@pytest.mark.slow
def test_training_resumes_on_the_next_backend(saved):
    folder, prediction, slots, steps = saved
    backend = NEXT_BACKEND[keras.backend.backend()]
    output = run_python(RESUME, folder, backend=backend)
    np.testing.assert_allclose(
        np.load(folder / f"{backend}.npy"), prediction, atol=1e-4
    )
    with np.load(folder / f"{backend}.npz") as loaded:
        for name, slot in zip(loaded, slots, strict=True):
            np.testing.assert_array_equal(loaded[name], slot)
    resumed = json.loads(output.splitlines()[-1])
    for logs, expected in zip(resumed, steps, strict=True):
        assert logs == pytest.approx(expected, rel=1e-3)


def test_neither_import_nor_training_loads_what_it_does_not_need():
    backend = keras.backend.backend()
    run_python(IMPORT + TRAIN * (backend != "tensorflow"), backend=backend)


@pytest.mark.backend_independent
def test_an_unknown_backend_is_named():
    code = """
import pytest
with pytest.raises(ImportError, match="Received: backend='numpy'"):
    import keras_ctsdg
"""
    run_python(code, backend="numpy")
