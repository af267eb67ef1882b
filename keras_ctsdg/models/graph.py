import gc

import keras


class LeanModel(keras.Model):
    """A functional model that lets go of every feature after its last use.

    Keras holds all of them to the end. Where Python runs the graph itself, as on
    PyTorch, that is several times the memory that is needed at once.
    """

    def _run_through_graph(self, inputs, operation_fn=lambda op: op, call_fn=None):
        if keras.backend.backend() != "torch" or call_fn is not None:
            return super()._run_through_graph(inputs, operation_fn, call_fn)
        return run_through_graph(self, inputs, operation_fn)


def run_through_graph(model, inputs, operation_fn):
    """Runs a functional model, holding as little as it can at once.

    Args:
        model: A functional `keras.Model`.
        inputs: Tensors in the structure of the model's inputs.
        operation_fn: Function of an operation, which gives what is called for it.

    Returns:
        Tensors in the structure of the model's outputs.
    """
    nodes = _in_order(model)
    last_use = {id(x): i for i, node in enumerate(nodes) for x in node.input_tensors}
    last_use |= {id(x): None for x in model.outputs}
    values = zip(map(id, model.inputs), keras.tree.flatten(inputs), strict=True)
    values = dict(values)
    del inputs
    for i, node in enumerate(nodes):
        arguments, options = node.arguments.fill_in(values)
        results = operation_fn(node.operation)(*arguments, **options)
        del arguments, options
        values |= zip(map(id, node.outputs), keras.tree.flatten(results), strict=True)
        del results
        for x in node.input_tensors:
            if last_use[id(x)] == i:
                values.pop(id(x), None)
        # PyTorch's trees, which Keras passes arguments through, leave cycles behind
        # that hold these. Only what is new is looked at.
        gc.collect(1)
    outputs = [values[id(x)] for x in model.outputs]
    return keras.tree.pack_sequence_as(model._outputs_struct, outputs)


def _in_order(model):
    """The model's nodes, each behind what it needs.

    Outputs that need little come first: what only they need is then soon let go.
    """
    nodes = [
        node
        for depth in sorted(model._nodes_by_depth, reverse=True)
        for node in model._nodes_by_depth[depth]
        if not node.is_input
    ]
    needs = sorted((_behind(x) for x in model.outputs), key=len)
    order = {}
    for needed in needs:
        order |= {id(node): node for node in nodes if id(node) in needed}
    return list(order.values())


def _behind(output):
    """The ids of all nodes that a tensor is computed by."""
    found, tensors = set(), [output]
    while tensors:
        operation, index, _ = tensors.pop()._keras_history
        node = operation._inbound_nodes[index]
        if id(node) not in found:
            found.add(id(node))
            tensors += node.input_tensors
    return found
