"""What concerns more than one backend: each runs in a process of its own."""

import json

import keras
import numpy as np
import pytest

import keras_ctsdg
from keras_ctsdg.models import Discriminator, Generator
from tests.common import (
    TRACES,
    finish,
    optimizer_slots,
    random_batch,
    start_python,
)

BACKENDS = ("tensorflow", "jax", "torch")
OTHERS = [name for name in BACKENDS if name != keras.backend.backend()]

GO_ON = """
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
revived = keras_ctsdg.from_preset(f"{folder}/preset")
assert np.allclose(revived.predict_on_batch(batch), model.predict_on_batch(batch))
logs = [model.train_on_batch(batch, return_dict=True) for _ in range(2)]
print(json.dumps([{k: float(v) for k, v in step.items()} for step in logs]))
"""

STEP = """
import sys, warnings
import keras_ctsdg
from keras_ctsdg.models import Discriminator, Generator, VGG16Features
assert "tensorflow" not in sys.modules, "import keras_ctsdg"
from tests.common import random_batch
model = keras_ctsdg.CTSDG(Generator(filters=8), Discriminator(filters=8))
model.compile(perceptual_network=VGG16Features(weights=None))
model.fit(random_batch(), verbose=0)
assert "tensorflow" not in sys.modules, "a training step"
"""


def run_python(code, *arguments, backend):
    code, stdout, stderr = finish(
        start_python("-W", "ignore", "-c", code, *arguments, KERAS_BACKEND=backend)
    )
    assert code == 0, stderr
    return stdout


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model in training: its file, its prediction and its next two steps."""
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("saved")
    model = keras_ctsdg.CTSDG(Generator(filters=8), Discriminator(filters=8))
    # Large steps of Adam would enlarge the rounding of near-zero gradients.
    model.compile(
        generator_optimizer=keras.optimizers.SGD(1e-3, momentum=0.9),
        discriminator_optimizer=keras.optimizers.Adam(1e-5),
        run_eagerly=TRACES,
    )
    batch = random_batch(2)
    model.train_on_batch(batch)
    model.save(folder / "model.keras")
    model.save_to_preset(folder / "preset")
    slots = optimizer_slots(model)
    prediction = model.predict_on_batch(batch)
    steps = [model.train_on_batch(batch, return_dict=True) for _ in range(2)]
    return folder, prediction, slots, steps


@pytest.mark.parametrize("backend", OTHERS)
def test_a_file_goes_on_training_on_another_backend(saved, backend):
    folder, prediction, slots, steps = saved
    output = run_python(GO_ON, folder, backend=backend)
    np.testing.assert_allclose(
        np.load(folder / f"{backend}.npy"), prediction, atol=1e-4
    )
    with np.load(folder / f"{backend}.npz") as loaded:
        for name, slot in zip(loaded, slots, strict=True):
            np.testing.assert_array_equal(loaded[name], slot)
    continued = json.loads(output.splitlines()[-1])
    for logs, expected in zip(continued, steps, strict=True):
        assert logs == pytest.approx(expected, rel=1e-3)


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="it is one")
def test_other_backends_load_no_tensorflow():
    run_python(STEP, backend=keras.backend.backend())


def test_importing_loads_nothing_heavy():
    heavy = ["keras_hub", "skimage", "scipy", "typer"]
    code = f"""
import sys, keras
before = set(sys.modules)
import keras_ctsdg
new = set(sys.modules) - before
assert not new & set({heavy}), new & set({heavy})
others = set({BACKENDS}) - {{keras.backend.backend()}}
assert not new & others, new & others
"""
    run_python(code, backend=keras.backend.backend())


def test_an_unknown_backend_is_named():
    code = """
import pytest
with pytest.raises(ImportError, match="Received: backend='numpy'"):
    import keras_ctsdg
"""
    run_python(code, backend="numpy")
