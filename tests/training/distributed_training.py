"""A small training, as a program, which one process or several run.

`python -m tests.training.distributed_training KIND OUT OPTIMIZER [SINGLE]` writes what
the training comes to, from the same weights as the result SINGLE. With 11 images in
batches of 4 the last batch is not full, and there are 3 steps.
"""

import contextlib
import pickle
import sys

import keras
import numpy as np

from keras_ctsdg.data import InpaintingDataset, RandomIrregularMasks
from keras_ctsdg.training import distribution
from tests.training.common import make_model

BATCH_SIZE = 4


def make_dataset(shard, count=11):
    rng = np.random.default_rng(3)
    size = BATCH_SIZE // shard[1]
    images = [rng.integers(0, 256, (16, 16, 3), "uint8") for _ in range(count)]
    masks = RandomIrregularMasks((0.05, 0.5), 1)
    return InpaintingDataset(
        [np.kron(image, np.ones((8, 8, 1), "uint8")) for image in images],
        masks,
        batch_size=size,
        image_size=128,
        shuffle=False,
        shard=shard,
    )


class Reversed(keras.utils.PyDataset):
    """A data set with the samples of each batch in the reverse order."""

    def __init__(self, dataset):
        super().__init__()
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return {key: x[::-1].copy() for key, x in self.dataset[index].items()}


class StepLogs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append({name: float(value) for name, value in logs.items()})


def run(shard, optimizer, scope, single=None):
    keras.utils.set_random_seed(1)
    optimizers = {}
    if optimizer == "sgd":
        optimizers["generator_optimizer"] = keras.optimizers.SGD(1e-3)
        optimizers["discriminator_optimizer"] = keras.optimizers.SGD(1e-3)
    with scope:
        model = make_model(**optimizers, run_eagerly=False)
    if single is not None:
        with open(single, "rb") as file:
            model.set_weights(pickle.load(file)["before"])
    before = model.get_weights()
    dataset, steps = make_dataset(shard), StepLogs()
    history = model.fit(dataset, verbose=0, callbacks=[steps]).history
    after = model.get_weights()
    logs = model.evaluate(dataset, verbose=0, return_dict=True)
    filled = model.predict(dataset, verbose=0)
    batch_logs = model.test_on_batch(dataset[2], return_dict=True)
    generator_count = len(model.generator.weights)
    paths = [w.path for w in model.weights]
    image = (np.arange(100 * 120 * 3).reshape(100, 120, 3) % 251).astype("uint8")
    hole = np.zeros((100, 120), bool)
    hole[30:60, 40:90] = True
    return model, {
        "before": before,
        "after": after,
        "steps": steps.steps,
        "history": history,
        "logs": logs,
        "batch_logs": {k: float(v) for k, v in batch_logs.items()},
        "filled": filled,
        "inpainted": model.inpaint(image, hole),
        "paths": paths,
        "generator_count": generator_count,
    }


def train_reversed(model, result):
    """Return the weights after a training that is the same but for rounding."""
    model.set_weights(result["before"])
    model.fit(Reversed(make_dataset((0, 1))), shuffle=False, verbose=0)
    return model.get_weights()


def main(kind, out, optimizer, single=None):
    if kind == "single":
        model, result = run((0, 1), optimizer, contextlib.nullcontext())
        if optimizer == "sgd":
            result["after_reversed"] = train_reversed(model, result)
    else:
        scope = distribution.start()
        part = distribution.shard()
        _, result = run(part, optimizer, scope, single)
    result["is_main"] = distribution.is_main_process()
    with open(f"{out}.{distribution.process_index()}", "wb") as file:
        pickle.dump(result, file)
    distribution.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
