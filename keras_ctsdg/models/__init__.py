"""The networks, functional graphs assembled from the layers."""

from keras_ctsdg.models.discriminator import Discriminator
from keras_ctsdg.models.generator import Generator
from keras_ctsdg.models.vgg16_features import VGG16Features

__all__ = ["Discriminator", "Generator", "VGG16Features"]
