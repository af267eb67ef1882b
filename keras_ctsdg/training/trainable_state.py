"""What of a model is trained, as it was when the model was compiled."""

import contextlib

from keras_ctsdg import _keras_private


class TrainableState:
    """The layers and variables of a model that were trainable when it was compiled.

    A layer that is frozen or thawed afterwards changes nothing until the next
    `compile`, on any backend.

    Args:
        model: A `keras_ctsdg.CTSDG` with a discriminator.
    """

    def __init__(self, model):
        # A model may be frozen as a whole while its networks are not.
        self.generator = _trainable_variables(model, model.generator)
        self.discriminator = _trainable_variables(model, model.discriminator)
        # Layers first, because setting the flag of a layer sets those of its parts.
        self._parts = [*_keras_private.all_layers(model), *model.variables]
        self._flags = self._read_flags()

    @property
    def variables(self):
        """The trainable variables, those of the generator first."""
        return self.generator + self.discriminator

    def apply_in(self, function):
        """Return a function that runs under the flags of the compilation."""

        def run(*arguments):
            with self._applied():
                return function(*arguments)

        return run

    @contextlib.contextmanager
    def _applied(self):
        """Give layers and variables their flags of the compilation, and undo it."""
        flags = self._read_flags()
        if flags == self._flags:
            yield
            return
        self._set_flags(self._flags)
        try:
            yield
        finally:
            self._set_flags(flags)

    def _read_flags(self):
        return [part.trainable for part in self._parts]

    def _set_flags(self, flags):
        for part, flag in zip(self._parts, flags, strict=True):
            part.trainable = flag


def _trainable_variables(model, network):
    return list(network.trainable_variables) if model.trainable else []
