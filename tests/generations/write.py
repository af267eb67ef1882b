"""Write the files of a generation: `python -m tests.generations.write FOLDER`.

Run it once, with the code of that generation, and commit the files: all later versions
must load them. Every backend trains a small model for two steps and saves it.
`expected.npz` holds the fills of each and the losses of its third step.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

BACKENDS = ("tensorflow", "jax", "torch")
SIZE = 128


def make_batch():
    """Return a batch of two noise images with a rectangular hole each."""
    rng = np.random.default_rng(7)
    shape = (2, SIZE, SIZE)
    mask = np.zeros((*shape, 1), "float32")
    mask[0, 32:80, 24:96] = 1.0
    mask[1, 60:100, 50:70] = 1.0
    return {
        "image": rng.uniform(-1, 1, (*shape, 3)).astype("float32"),
        "gray": rng.uniform(0, 1, (*shape, 1)).astype("float32"),
        "edge": (rng.random((*shape, 1)) < 0.1).astype("float32"),
        "mask": mask,
    }


def sample(filled):
    """Return every fourth pixel of filled images, to keep the file small."""
    return np.asarray(filled)[:, ::4, ::4]


def write_backend(folder):
    """Train two steps on the running backend and save the model."""
    import keras

    import keras_ctsdg

    backend = keras.backend.backend()
    keras.utils.set_random_seed(3)
    model = keras_ctsdg.CTSDG(
        keras_ctsdg.models.Generator(filters=4),
        keras_ctsdg.models.Discriminator(filters=4),
        edges="wrapped",
        sigma=1.5,
    )
    model.compile(
        generator_optimizer=keras.optimizers.Adam(1e-2),
        discriminator_optimizer=keras.optimizers.Adam(1e-3),
        loss_weights={"hole": 50.0},
    )
    batch = make_batch()
    for _ in range(2):
        model.train_on_batch(batch)
    model.save(folder / f"{backend}.keras")
    expected = {f"{backend}/filled": sample(model.predict_on_batch(batch))}
    if backend == "tensorflow":
        for dtype in ("float32", "float16"):
            preset = folder / f"preset_{dtype}"
            model.save_to_preset(preset, dtype=dtype)
            loaded = keras_ctsdg.from_preset(preset)
            filled = sample(loaded.predict_on_batch(batch))
            expected[f"preset_{dtype}/filled"] = filled
    logs = model.train_on_batch(batch, return_dict=True)
    for name, value in logs.items():
        expected[f"{backend}/losses/{name}"] = np.float32(value)
    np.savez(folder / f"{backend}.npz", **expected)


def main(folder):
    folder = Path(folder)
    if "WRITE_BACKEND" in os.environ:
        return write_backend(folder)
    folder.mkdir(parents=True)
    expected = {}
    for backend in BACKENDS:
        subprocess.run(
            [sys.executable, "-m", "tests.generations.write", str(folder)],
            env={**os.environ, "KERAS_BACKEND": backend, "WRITE_BACKEND": "1"},
            check=True,
        )
        part = folder / f"{backend}.npz"
        with np.load(part) as arrays:
            expected |= dict(arrays)
        part.unlink()
    np.savez(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main(*sys.argv[1:])
