import contextlib
import contextvars
from typing import Any

import jax
import keras

from keras_ctsdg._keras_private import RecoverableState, replace_values
from keras_ctsdg.training import distribution_jax
from keras_ctsdg.training.checked_data import unpack_batch
from keras_ctsdg.training.logs import mark_padding
from keras_ctsdg.training.step import BaseTrainingStep

# The ids of the models whose steps the current thread runs.
_RUNNING = contextvars.ContextVar("_RUNNING", default=frozenset())


def _traced_anew(method):
    """Let `jax.jit` trace a method again each time that Keras makes a function of it.

    It would go on with what it traced for an equal function, as methods of one model
    are, if anything keeps that alive, though a flag or the losses have changed since.
    """
    return property(lambda self: lambda *arguments: method(self, *arguments))


class TrainingStep(BaseTrainingStep, RecoverableState):
    """A training step whose gradients are taken by `jax.grad`."""

    _own_predict_function: Any = None

    def fit(self, *args, **kwargs):
        with self._running():
            return super().fit(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        with self._running():
            return super().evaluate(*args, **kwargs)

    def predict(self, *args, **kwargs):
        with self._running(), self._on_own_devices():
            return super().predict(*args, **kwargs)

    def train_on_batch(self, *args, **kwargs):
        with self._running():
            return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args, **kwargs):
        with self._running():
            return super().test_on_batch(*args, **kwargs)

    def predict_on_batch(self, *args, **kwargs):
        with self._running(), self._on_own_devices():
            return super().predict_on_batch(*args, **kwargs)

    def generate_on_batch(self, inputs):
        with self._on_own_devices():
            return super().generate_on_batch(inputs)

    # === Order of variables ===
    # Keras passes the variables to a compiled step as lists, which it takes anew in
    # every call. A layer that is frozen or thawed after the compilation would move
    # variables from list to list, and each would get the value of another.

    @contextlib.contextmanager
    def _running(self):
        """Keep the variables in the order of the compilation, and recover their values.

        Only one thread at a time has the values.
        """
        token = _RUNNING.set(_RUNNING.get() | {id(self)})
        try:
            with self.recover_state():
                yield
        finally:
            _RUNNING.reset(token)

    @property
    def trainable_variables(self):
        if id(self) not in _RUNNING.get():
            return super().trainable_variables
        return self.trainable_state.variables if self.compiled else []

    @property
    def non_trainable_variables(self):
        if id(self) not in _RUNNING.get():
            return super().non_trainable_variables
        trainable = {id(variable) for variable in self.trainable_variables}
        return [v for v in self.variables if id(v) not in trainable]

    # === Several processes ===

    @contextlib.contextmanager
    def _on_own_devices(self):
        """Predict on the devices of this process, so that others need not take part."""
        if distribution_jax.process_count() == 1 or not self._is_distributed():
            yield
            return
        everywhere = keras.distribution.distribution()
        own = distribution_jax.own_devices()
        values = replace_values(
            self.variables, lambda value: distribution_jax.copy_to(own, value)
        )
        function, self.predict_function = (
            self.predict_function,
            self._own_predict_function,
        )
        keras.distribution.set_distribution(own)
        try:
            with values:
                yield
        finally:
            keras.distribution.set_distribution(everywhere)
            self._own_predict_function = self.predict_function
            self.predict_function = function

    def _is_distributed(self):
        return keras.distribution.distribution() is not None

    # === Steps ===

    @_traced_anew
    def train_step(self, state, data):
        trainable, others, optimizer, metrics = state
        inputs = self.prepare_batch(data)
        split = len(self.trainable_state.generator)

        def generator_objective(generator):
            mapping = self._mapping(generator + trainable[split:], others, optimizer)
            scope = keras.StatelessScope(mapping)
            with scope, self.whole_batch(inputs):
                values, output = self.generator_losses(inputs, training=True)
                objective = self.optimizer.scale_loss(
                    values["generator_loss"], "generator"
                )
            return objective, (values, output, self._updated_others(scope))

        gradients, (values, output, others) = jax.grad(
            generator_objective, has_aux=True
        )(trainable[:split])

        def discriminator_objective(discriminator):
            mapping = self._mapping(
                trainable[:split] + discriminator, others, optimizer
            )
            scope = keras.StatelessScope(mapping)
            with scope, self.whole_batch(inputs):
                values = self.discriminator_losses(inputs, output, training=True)
                objective = self.optimizer.scale_loss(
                    values["discriminator_loss"], "discriminator"
                )
            return objective, (values, self._updated_others(scope))

        discriminator_gradients, (discriminator_values, others) = jax.grad(
            discriminator_objective, has_aux=True
        )(trainable[split:])
        values |= discriminator_values
        gradients += discriminator_gradients

        before = trainable, state[1]
        with keras.StatelessScope(self._mapping(*before, optimizer)) as scope:
            is_finite = self.review_step(values, gradients)
        optimizer = [scope.get_current_value(v) for v in self.optimizer.variables]

        def apply():
            # Both gradients are taken before either network is updated.
            new, slots = self.optimizer.stateless_apply(optimizer, gradients, trainable)
            return new, others, slots

        # To choose between two values of each variable takes XLA four times as long to
        # compile.
        trainable, others, optimizer = jax.lax.cond(
            is_finite, apply, lambda: (*before, optimizer)
        )
        logs, metrics = self._update_metrics(
            values, inputs, metrics, is_applied=is_finite
        )
        return logs, (trainable, others, optimizer, metrics)

    @_traced_anew
    def test_step(self, state, data):
        trainable, others, metrics = state
        inputs = self.prepare_batch(data)
        scope = keras.StatelessScope(self._mapping(trainable, others))
        with scope, self.whole_batch(inputs):
            values, output = self.generator_losses(inputs, training=False)
            values |= self.discriminator_losses(inputs, output, training=False)
        logs, metrics = self._update_metrics(values, inputs, metrics, output)
        return logs, (trainable, others, metrics)

    def predict_step(self, state, data):
        filled, others = super().predict_step(state, data)
        return mark_padding(filled, unpack_batch(data)), others

    def _mapping(self, trainable, others, optimizer=()):
        """Return pairs (variable, value) of all that a forward pass reads."""
        mapping = list(zip(self.trainable_variables, trainable, strict=True))
        mapping += zip(self.non_trainable_variables, others, strict=True)
        if optimizer:
            mapping += zip(self.optimizer.variables, optimizer, strict=True)
        return mapping

    def _updated_others(self, scope):
        """Return the values of the non-trainable variables after a forward pass."""
        return [scope.get_current_value(v) for v in self.non_trainable_variables]

    def _update_metrics(self, values, inputs, metrics, output=None, is_applied=None):
        """Return the logs and the new values of the metrics' variables."""
        mapping = zip(self.metrics_variables, metrics, strict=True)
        with keras.StatelessScope(list(mapping)) as scope:
            logs = self.update_metrics(values, inputs, output, is_applied)
        return logs, [scope.get_current_value(v) for v in self.metrics_variables]
