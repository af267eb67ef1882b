import keras


def run_through_graph(model, inputs, operation_fn):
    """Runs a functional model, letting go of every feature after its last use.

    Keras holds all of them to the end. Where Python runs the graph itself, as on
    PyTorch, that is several times the memory that is needed at once.

    Args:
        model: A functional `keras.Model`.
        inputs: Tensors in the structure of the model's inputs.
        operation_fn: Function of an operation, which gives what is called for it.

    Returns:
        Tensors in the structure of the model's outputs.
    """
    nodes = [
        node
        for depth in sorted(model._nodes_by_depth, reverse=True)
        for node in model._nodes_by_depth[depth]
        if not node.is_input
    ]
    last_use = {id(x): i for i, node in enumerate(nodes) for x in node.input_tensors}
    last_use |= {id(x): None for x in model.outputs}
    values = zip(map(id, model.inputs), keras.tree.flatten(inputs), strict=True)
    values = dict(values)
    for i, node in enumerate(nodes):
        arguments, options = node.arguments.fill_in(values)
        results = operation_fn(node.operation)(*arguments, **options)
        del arguments, options
        values |= zip(map(id, node.outputs), keras.tree.flatten(results), strict=True)
        del results
        for x in node.input_tensors:
            if last_use[id(x)] == i:
                values.pop(id(x), None)
    outputs = [values[id(x)] for x in model.outputs]
    return keras.tree.pack_sequence_as(model._outputs_struct, outputs)
