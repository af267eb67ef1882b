"""LPIPS, the learned perceptual distance, from weights that you have.

Two files: torchvision's VGG16 (`vgg16-397923af.pth`), and the weights of its channels
that the package `lpips` holds as `lpips/weights/v0.1/vgg.pth`. Reading them needs the
extra `torch`.

Reference:
    - [Zhang et al., 2018](https://arxiv.org/abs/1801.03924)
"""

from pathlib import Path

import keras
import numpy as np

from keras_ctsdg.convert import read_torch

# The last convolution of each block, and torchvision's numbers of all of them.
LAYERS = [f"block{i}_conv{n}" for i, n in enumerate((2, 2, 3, 3, 3), start=1)]
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
# Of images in [-1, 1], as the channels were weighed.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class LPIPS:
    """Distance of images that people see: 0 for equal ones, and lower is better.

    Args:
        backbone: Path of torchvision's VGG16.
        channels: Path of the weights of its channels, version 0.1.

    Raises:
        ValueError: If a file is none of these.
    """

    def __init__(self, backbone, channels):
        vgg = keras.applications.VGG16(
            include_top=False, weights=None, input_shape=(None, None, 3)
        )
        convolutions = [x for x in vgg.layers if isinstance(x, keras.layers.Conv2D)]
        backbone, channels = Path(backbone), Path(channels)
        state = _read(backbone, [f"features.{i}.weight" for i in CONVOLUTIONS])
        for layer, number in zip(convolutions, CONVOLUTIONS, strict=True):
            kernel = state[f"features.{number}.weight"].transpose(2, 3, 1, 0)
            layer.set_weights([kernel, state[f"features.{number}.bias"]])
        outputs = [vgg.get_layer(name).output for name in LAYERS]
        self.features = keras.Model(vgg.inputs, outputs)
        names = [f"lin{i}.model.1.weight" for i in range(len(LAYERS))]
        state = _read(channels, names)
        self.channels = [state[name].reshape(-1) for name in names]

    def __call__(self, target, image):
        """Compute the distance of each sample.

        Args:
            target: Float array `[B, H, W, 3]` in [0, 1].
            image: Float array of the same shape.

        Returns:
            Float array `[B]`.
        """
        pair = np.concatenate([target, image]) * 2 - 1
        features = self.features.predict_on_batch((pair - SHIFT) / SCALE)
        distance = np.zeros(len(target))
        for weights, feature in zip(self.channels, features, strict=True):
            length = np.linalg.norm(feature, axis=-1, keepdims=True)
            first, second = np.split(feature / (length + 1e-10), 2)
            distance += (np.square(first - second) @ weights).mean((1, 2))
        return distance


def _read(path, names):
    state = read_torch(path)
    missing = [name for name in names if name not in state]
    if missing:
        raise ValueError(f"A file must hold {missing}. Received: {path}")
    return state
