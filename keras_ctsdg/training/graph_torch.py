"""Functions of a model's variables, compiled by `torch.compile` as a single graph.

`torch.compile` reads Python code. Where that is Keras' own, which keeps global state in
every call, it gives up and splits the function into parts. So the function is run once,
its operations are recorded, and the record is compiled.
"""

import keras
import torch
from torch.fx.experimental.proxy_tensor import make_fx


class CompiledFunction:
    """A function that is compiled for each shape of its inputs.

    Args:
        function: Function of a dict of tensors. It returns a nested structure of
            tensors, and may read and assign `variables`. It must not read values of
            tensors in Python.
        variables: List of Keras variables.
    """

    def __init__(self, function, variables):
        self.function = function
        self.variables = variables
        self._graphs = {}

    def __call__(self, inputs):
        results, updates = self.call_without_assigning(inputs)
        with torch.no_grad():
            for variable, value in updates:
                variable.assign(value)
        return results

    def call_without_assigning(self, inputs):
        """Compute the results, and what `variables` would become.

        Args:
            inputs: Dict of tensors.

        Returns:
            Tuple of the results and a list of pairs: the variables that the function
            assigns, and their new values.
        """
        inputs = dict(sorted(inputs.items()))
        key = tuple((n, x.shape, x.dtype, x.device) for n, x in inputs.items())
        tensors = [*(v.value.detach() for v in self.variables), *inputs.values()]
        if key not in self._graphs:
            self._graphs[key] = self._compile(list(inputs), tensors)
        graph, structure, assigned = self._graphs[key]
        with torch.no_grad():
            results = graph(*tensors)
        split = len(results) - len(assigned)
        updates = list(zip(assigned, results[split:], strict=True))
        return keras.tree.pack_sequence_as(structure, results[:split]), updates

    def _compile(self, names, tensors):
        """Record the function and compile the record.

        Returns:
            Tuple of the compiled graph, the structure of the function's results, and
            the variables that the function assigns. The graph returns the results and
            the new values of these variables as a flat list.
        """
        structure, assigned = None, []

        def record(*tensors):
            nonlocal structure, assigned
            values = [
                x.detach().requires_grad_(v.trainable)
                for v, x in zip(self.variables, tensors, strict=False)
            ]
            inputs = dict(zip(names, tensors[len(values) :], strict=True))
            pairs = list(zip(self.variables, values, strict=True))
            with keras.StatelessScope(pairs) as scope:
                structure = self.function(inputs)
            after = [(v, scope.get_current_value(v)) for v in self.variables]
            changed = [
                (v, new)
                for (v, new), old in zip(after, values, strict=True)
                if new is not old
            ]
            assigned = [v for v, _ in changed]
            results = [*keras.tree.flatten(structure), *(new for _, new in changed)]
            return [x.detach() for x in results]

        graph = make_fx(record)(*tensors)
        return torch.compile(graph, fullgraph=True, dynamic=False), structure, assigned
