"""Small models, and the same data in every form that `fit` takes."""

import warnings

import keras
import numpy as np

import keras_ctsdg
from keras_ctsdg.losses import LOSS_WEIGHTS
from keras_ctsdg.models import Discriminator, Generator
from tests.common import EAGER_ON_TENSORFLOW, NETWORK_INPUTS, random_batch

IMAGE_METRICS = ("psnr", "ssim", "mae", "samples")
LOSS_NAMES = {"loss", "generator_loss", "discriminator_loss", *LOSS_WEIGHTS}


def make_model(filters=4, **kwargs):
    """Return a small compiled model with random weights.

    Args:
        filters: Int, the width of both networks. Defaults to `4`.
        **kwargs: Arguments of `compile`. By default, there is no perceptual network,
            and TensorFlow runs eagerly.
    """
    model = keras_ctsdg.CTSDG(
        Generator(filters=filters), Discriminator(filters=filters)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`perceptual_network=None`")
        model.compile(**{"run_eagerly": EAGER_ON_TENSORFLOW, **kwargs})
    return model


def make_eager_or_compiled(is_eager, monkeypatch):
    """Return a small compiled model whose steps run eagerly, or are compiled.

    On PyTorch they are graphs, which are not compiled: that takes minutes.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        monkeypatch.setattr(torch, "compile", lambda graph, **_: graph)
        return make_model(jit_compile=not is_eager)
    return make_model(run_eagerly=is_eager)


def make_perceptual_network():
    """Return three narrow levels of features in the place of VGG16's."""
    levels = [keras.Input((None, None, 3))]
    for _ in range(3):
        layer = keras.layers.Conv2D(4, 3, 2, padding="same", activation="relu")
        levels.append(layer(levels[-1]))
    return keras.Model(levels[0], levels[1:])


class Batches(keras.utils.PyDataset):
    """Two batches of two samples."""

    def __init__(self, keys=NETWORK_INPUTS):
        super().__init__()
        self.keys = keys

    def __len__(self):
        return 2

    def __getitem__(self, index):
        batch = random_batch(2, seed=index)
        return {key: batch[key] for key in self.keys}


def as_numpy(keys=NETWORK_INPUTS):
    batches = [random_batch(2, seed=i) for i in range(2)]
    return {key: np.concatenate([b[key] for b in batches]) for key in keys}


def as_tuple(keys=NETWORK_INPUTS):
    return (as_numpy(keys),)


def as_tf_data(keys=NETWORK_INPUTS):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(as_numpy(keys)).batch(2)


def as_data_loader(keys=NETWORK_INPUTS):
    import torch

    arrays = as_numpy(keys)
    samples = [{k: torch.from_numpy(v[i]) for k, v in arrays.items()} for i in range(4)]
    return torch.utils.data.DataLoader(samples, batch_size=2)


# Each function takes the keys of a batch and returns four samples in batches of two.
DATA_KINDS = (as_numpy, Batches, as_tf_data, as_data_loader)


def read_state(model):
    """Return the values of all variables of a compiled model, for `restore_state`."""
    variables = [*model.variables, *model.optimizer.variables]
    return [(v, keras.ops.convert_to_numpy(v.value)) for v in variables]


def restore_state(state):
    """Assign the values that `read_state` returned."""
    for variable, value in state:
        variable.assign(value)


def is_image_metric(name):
    return name.removeprefix("val_").split("_")[0] in IMAGE_METRICS


def assert_runs_on(model, make_data, keys=NETWORK_INPUTS):
    """Assert that a model is trained, is evaluated and predicts on a kind of data.

    Args:
        model: A compiled `keras_ctsdg.CTSDG` without a perceptual network.
        make_data: One of `DATA_KINDS`.
        keys: The keys of a batch. Defaults to all inputs of the networks.
    """
    options = {"batch_size": 2} if make_data is as_numpy else {}
    history = model.fit(make_data(keys), verbose=0, **options).history
    assert set(history) == LOSS_NAMES - {"perceptual", "style"}
    assert np.isfinite(list(history.values())).all()
    logs = model.evaluate(make_data(keys), verbose=0, return_dict=True, **options)
    image_metrics = {name for name in logs if is_image_metric(name)}
    assert set(logs) - image_metrics == set(history)
    assert len(image_metrics) == 3 * 4 + 5
    assert logs["samples"] == logs["samples_0_20"] == 4
    predicted = model.predict(make_data(keys), verbose=0, **options)
    assert predicted.shape == (4, 128, 128, 3)
