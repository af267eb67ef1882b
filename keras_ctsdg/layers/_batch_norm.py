from keras_ctsdg._keras_private import OwnMoments
from keras_ctsdg.layers._batch_mean import batch_moments


class BatchNormalization(OwnMoments):
    """Keras' batch normalization, whose statistics are those of the whole batch.

    On several devices or with samples that only fill up the batch, `batch_weights`
    says what the whole batch is. Keras synchronizes devices on TensorFlow alone, and
    there without weights.
    """

    def compute_moments(self, inputs):
        return batch_moments(inputs)
