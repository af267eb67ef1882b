"""How a step's gradients are taken, by the backend that Keras runs on."""

import keras

match keras.backend.backend():
    case "tensorflow":
        from keras_ctsdg.training.tensorflow import CTSDG
    case "jax":
        from keras_ctsdg.training.jax import CTSDG
    case "torch":
        from keras_ctsdg.training.torch import CTSDG
    case backend:
        raise ImportError(
            "keras_ctsdg runs on TensorFlow, JAX and PyTorch. Set KERAS_BACKEND to "
            f'"tensorflow", "jax" or "torch". Received: backend={backend!r}'
        )

CTSDG.__doc__ = """CTSDG: fills holes in pictures, and is trained to, as a GAN.

    Args:
        generator: A `keras_ctsdg.models.Generator`.
        discriminator: A `keras_ctsdg.models.Discriminator`, or `None` for a model
            that fills pictures and is not trained. Defaults to `None`.
        edges: `"clean"` or `"wrapped"`, which gray and edge the weights expect: of
            the picture, or of the picture as the original implementations wrap it
            into bytes. Defaults to `"clean"`; weights of theirs need `"wrapped"`.
        sigma: Float, the width in pixels of Canny's Gaussian for the edges that the
            model draws. Defaults to `2.0`.
        **kwargs: Arguments of `keras.Model`, such as `name` and `dtype`.

    Call arguments:
        inputs: Dict of `image` `[B, H, W, 3]` in [-1, 1], `gray` `[B, H, W, 1]` in
            [0, 1], `edge` `[B, H, W, 1]`, 0 or 1, and `mask` `[B, H, W, 1]` in
            [0, 1], where 1 marks the hole. H and W are multiples of 128. Data sets
            for `fit`, `evaluate` and `predict` yield the same dict. Where `gray` and
            `edge` are both left out, the model draws them from `image`, as `edges` and
            `sigma` say, on the device that it runs on.

    Returns:
        Tensor `[B, H, W, 3]` in [-1, 1]: the pictures with their holes filled.
        `fit` and `evaluate` report `generator_loss`, `discriminator_loss` and the
        generator's terms, unweighted: `hole`, `valid`, `perceptual`, `style`,
        `adversarial` and `intermediate`.

    Raises:
        ValueError: If an argument or a batch breaks a rule above.

    Example:

    ```python
    model = keras_ctsdg.CTSDG(
        keras_ctsdg.models.Generator(), keras_ctsdg.models.Discriminator()
    )
    model.compile(perceptual_network=keras_ctsdg.models.VGG16Features())
    model.fit(dataset, epochs=10)
    filled = model.predict(dataset)
    ```

    Reference:
        - [Guo et al., 2021](https://arxiv.org/abs/2108.09760)
    """

__all__ = ["CTSDG"]
