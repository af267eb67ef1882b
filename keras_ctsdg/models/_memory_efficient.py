"""Functional models that hold no more features at once than they need."""

import keras

from keras_ctsdg import _keras_private


class MemoryEfficientFunctional(_keras_private.GraphRunner):
    """A functional model that releases every feature after its last use.

    Keras holds all features until a call ends. On PyTorch, where Python runs the
    graph, that takes several times the memory that is needed at once. On TensorFlow
    and JAX, compilers release the features, and Keras runs the graph.
    """

    def run_graph(self, inputs, operation_fn):
        if keras.backend.backend() == "torch":
            return run_graph(self, inputs, operation_fn)
        return super().run_graph(inputs, operation_fn)


class FrozenStatistics(MemoryEfficientFunctional):
    """A functional model that uses the moving statistics of batch normalization.

    In training, too. Its other layers know that it is trained.
    """

    def run_graph(self, inputs, operation_fn):
        return super().run_graph(inputs, _without_batch_statistics(operation_fn))


def _without_batch_statistics(operation_fn):
    """Return a function like `operation_fn`, of which batch norms do not train."""

    def choose(operation):
        if isinstance(operation, keras.layers.BatchNormalization):
            return lambda *args, **kwargs: operation(
                *args, **{**kwargs, "training": False}
            )
        return operation_fn(operation)

    return choose


def run_graph(model, inputs, operation_fn):
    """Run a functional model, holding as few features as possible at once.

    Args:
        model: A functional `keras.Model`.
        inputs: Tensors in the structure of the model's inputs.
        operation_fn: Function that takes an operation and returns the callable to
            run for it.

    Returns:
        Tensors in the structure of the model's outputs.
    """
    nodes = _execution_order(model)
    last_use = {id(x): i for i, node in enumerate(nodes) for x in node.input_tensors}
    last_use |= {id(x): None for x in model.outputs}
    inputs = keras.tree.flatten(inputs)
    values = dict(zip(map(id, model.inputs), inputs, strict=True))
    # Every other name of a feature would keep it alive.
    del inputs
    for i, node in enumerate(nodes):
        arguments, options = _keras_private.call_arguments(node, values)
        results = operation_fn(node.operation)(*arguments, **options)
        del arguments, options
        values |= zip(map(id, node.outputs), keras.tree.flatten(results), strict=True)
        needs_gradients = any(
            getattr(x, "requires_grad", False) for x in keras.tree.flatten(results)
        )
        del results
        for x in node.input_tensors:
            if last_use[id(x)] == i:
                values.pop(id(x), None)
        # Gradients keep every feature alive anyway.
        if not needs_gradients:
            _keras_private.collect_cycles()
    outputs = [values[id(x)] for x in model.outputs]
    return _keras_private.pack_outputs(model, outputs)


def _execution_order(model):
    """Return the model's nodes, each after those it depends on.

    Outputs that depend on few nodes come first, so that features that only they need
    are released early.
    """
    nodes = _keras_private.graph_nodes(model)
    dependencies = sorted((_dependencies(x) for x in model.outputs), key=len)
    order = {}
    for needed in dependencies:
        order |= {id(node): node for node in nodes if id(node) in needed}
    return list(order.values())


def _dependencies(output):
    """Return the ids of all nodes that compute a symbolic tensor."""
    found, tensors = set(), [output]
    while tensors:
        node = _keras_private.producing_node(tensors.pop())
        if id(node) not in found:
            found.add(id(node))
            tensors += node.input_tensors
    return found
