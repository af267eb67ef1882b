"""The blocks of the paper, each a registered `keras.layers.Layer`."""

from keras_ctsdg.layers.canny import CannyEdge
from keras_ctsdg.layers.contextual_aggregation import ContextualFeatureAggregation
from keras_ctsdg.layers.gated_fusion import BidirectionalGatedFusion
from keras_ctsdg.layers.multi_scale import MultiScaleFeatureAggregation
from keras_ctsdg.layers.partial_conv import PartialConv2D
from keras_ctsdg.layers.region_affinity import RegionAffinityLearning
from keras_ctsdg.layers.spectral_conv import SpectralConv2D
from keras_ctsdg.layers.upsampling import BilinearUpSampling2D

__all__ = [
    "BidirectionalGatedFusion",
    "BilinearUpSampling2D",
    "CannyEdge",
    "ContextualFeatureAggregation",
    "MultiScaleFeatureAggregation",
    "PartialConv2D",
    "RegionAffinityLearning",
    "SpectralConv2D",
]
