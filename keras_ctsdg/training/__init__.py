"""Training of a `CTSDG`: `TrainingStep` is the one of the backend Keras runs on."""

import keras

match keras.backend.backend():
    case "tensorflow":
        from keras_ctsdg.training.step_tensorflow import TrainingStep
    case "jax":
        from keras_ctsdg.training.step_jax import TrainingStep
    case "torch":
        from keras_ctsdg.training.step_torch import TrainingStep
    case backend:
        raise ImportError(
            "keras_ctsdg runs on TensorFlow, JAX and PyTorch. Set KERAS_BACKEND to "
            f'"tensorflow", "jax" or "torch". Received: backend={backend!r}'
        )

__all__ = ["TrainingStep"]
