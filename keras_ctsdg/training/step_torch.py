import types
from typing import Any

import keras
import torch

from keras_ctsdg import _keras_private
from keras_ctsdg.training.distribution_torch import (
    GradientSums,
    all_sum,
    copy_from_main_process,
    process_count,
)
from keras_ctsdg.training.graph_torch import CompiledFunction
from keras_ctsdg.training.step import BaseTrainingStep


class TrainingStep(_keras_private.OwnCompilation, BaseTrainingStep):
    """A training step whose gradients are taken by `torch.autograd`.

    With `jit_compile=True`, all of a step but the optimizers, which PyTorch runs as a
    few operations anyway, is one graph of `torch.compile`.
    """

    _graphs: Any = None
    _is_alike = False

    def fit(self, *args, **kwargs):
        # Weights may have been assigned since the last training.
        self._is_alike = False
        return super().fit(*args, **kwargs)

    def train_step(self, data):
        inputs = self.prepare_batch(data)
        self._start_alike()
        (values, gradients), updates = self._compute_step(inputs)
        with torch.no_grad():
            is_finite = self.review_step(values, gradients)
            # On a GPU this waits for the gradients, as PyTorch's own `GradScaler` does.
            if is_finite:
                # Both gradients are taken before either network is updated.
                self.optimizer.apply(gradients, self.trainable_state.variables)
                for variable, value in updates:
                    variable.assign(value)
            return self.update_metrics(values, inputs, is_applied=is_finite)

    def test_step(self, data):
        return self._run("test", self.compute_logs, self.prepare_batch(data))

    def predict_step(self, data):
        # Edges are grown until they stop, which is not a fixed graph.
        return self._run("predict", self.fill_batch, self.prepare_batch(data))

    def _compute_step(self, inputs):
        """Return losses and gradients, and pairs of variables and their new values."""
        if self.jit_compile and not self.is_shared:
            function = self._compiled_function("train", self._values_and_gradients)
            return function.call_without_assigning(inputs)
        with keras.StatelessScope() as scope:
            results = self._values_and_gradients(inputs)
        updates = [
            (v, scope.get_current_value(v)) for v in self.non_trainable_variables
        ]
        return results, [(v, x.detach()) for v, x in updates if x is not None]

    def _values_and_gradients(self, inputs):
        """Return the losses and, variable by variable, the scaled losses' gradients."""
        state = self.trainable_state
        with self.whole_batch(inputs):
            values, output = self.generator_losses(inputs, training=True)
            gradients = self._gradients(values, "generator", state.generator)
            # Those of the generator are added up while others are computed.
            generator = GradientSums(gradients)
            values |= self.discriminator_losses(inputs, output, training=True)
            gradients = self._gradients(values, "discriminator", state.discriminator)
        discriminator = GradientSums(gradients)
        values = self.sum_losses({name: x.detach() for name, x in values.items()})
        return values, generator.wait() + discriminator.wait()

    def _gradients(self, values, network, variables):
        """Return the gradients of a network's scaled loss, one tensor per variable."""
        if not variables:  # The network is frozen.
            return []
        loss = self.optimizer.scale_loss(values[f"{network}_loss"], network)
        return list(torch.autograd.grad(loss, [v.value for v in variables]))

    def sum_of_squares(self, gradients):
        return torch.square(torch.nn.utils.get_total_norm(gradients).float())

    def arrange_in_memory(self, variables):
        """Store kernels, and the optimizers' slots for them, in PyTorch's order.

        Shapes and values stay. Of a kernel in Keras' order, `[h, w, in, out]`, PyTorch
        would make a copy in every call.
        """
        for variable in variables:
            if len(variable.shape) == 4:
                kernel = variable.value.data.permute(3, 2, 0, 1)
                # `contiguous` would leave a kernel of one filter as it is, with strides
                # that PyTorch's convolution of float16 and float64 on a CPU refuses.
                arranged = torch.empty_like(kernel, memory_format=torch.channels_last)
                variable.value.data = arranged.copy_(kernel).permute(2, 3, 1, 0)

    # === Several processes ===

    @property
    def is_shared(self):
        return process_count() > 1

    def all_sum(self, x):
        return all_sum(x)

    def _start_alike(self):
        """Start the first step of a training from the state of the first process."""
        if self._is_alike or not self.is_shared:
            return
        variables = [*self.variables, *self.optimizer.variables]
        copy_from_main_process([v.value for v in variables])
        self._is_alike = True

    # === Compilation ===

    def make_train_function(self, force=False):
        if force or self.train_function is None:
            self._is_alike = False
        self._forget_graph("train", force or self.train_function is None)
        super().make_train_function(force)

    def make_test_function(self, force=False):
        self._forget_graph("test", force or self.test_function is None)
        super().make_test_function(force)

    def make_predict_function(self, force=False):
        self._forget_graph("predict", force or self.predict_function is None)
        super().make_predict_function(force)

    def _forget_graph(self, name, is_outdated):
        if self._graphs is None:
            # In a namespace, where Keras does not look for layers and variables.
            self._graphs = types.SimpleNamespace(functions={})
        if is_outdated:
            self._graphs.functions.pop(name, None)

    def _run(self, name, function, inputs):
        """Call a function of inputs, or its graph if the model is to be compiled."""
        # Processes meet in the middle of a step, which is not a fixed graph.
        if not self.jit_compile or self.is_shared:
            return function(inputs)
        return self._compiled_function(name, function)(inputs)

    def _compiled_function(self, name, function):
        functions = self._graphs.functions
        if name not in functions:
            variables = [*self.variables, *self.metrics_variables]
            if self.compiled:
                # The scale of the losses is one of the optimizer's scalars.
                variables += [v for v in self.optimizer.variables if not v.shape]
            functions[name] = CompiledFunction(function, variables)
        return functions[name]
