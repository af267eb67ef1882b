"""Everything the package uses of Keras that Keras does not make public.

Each use says why it is needed and which upstream change makes it needless. Written
for Keras 3.15; the tests of this module fail where a later release differs.
"""

import gc
import sys

import keras


def graph_nodes(model):
    """Return the operation nodes of a functional model, inputs left out, by depth.

    Needed by `models._memory_efficient`, which runs the graph in its own order.
    keras-team/keras#23111 frees features on PyTorch; with it, and an order that
    finishes one output before the next, this module's graph functions can go.
    """
    return [
        node
        for depth in sorted(model._nodes_by_depth, reverse=True)
        for node in model._nodes_by_depth[depth]
        if not node.is_input
    ]


def producing_node(tensor):
    """Return the node that computes a symbolic tensor. See `graph_nodes`."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def call_arguments(node, values):
    """Return the arguments of a node's call, tensors filled in. See `graph_nodes`.

    Args:
        node: A node of `graph_nodes`.
        values: Dict of the tensors' values by the ids of the symbolic tensors.

    Returns:
        Tuple of positional arguments and a dict of keyword arguments.
    """
    return node.arguments.fill_in(values)


def pack_outputs(model, outputs):
    """Arrange a flat list of outputs as the model's. See `graph_nodes`."""
    return keras.tree.pack_sequence_as(model._outputs_struct, outputs)


class GraphRunner(keras.Model):
    """A functional model whose subclass runs the graph itself.

    Overrides the private method that every call of a functional model goes through.
    See `graph_nodes`.
    """

    def _run_through_graph(self, inputs, operation_fn=lambda op: op, call_fn=None):
        if call_fn is None and self.runs_graph_itself():
            return self.run_graph(inputs, operation_fn)
        return super()._run_through_graph(inputs, operation_fn, call_fn)

    def runs_graph_itself(self):
        """Whether `run_graph` takes the place of Keras' own loop."""
        raise NotImplementedError

    def run_graph(self, inputs, operation_fn):
        """Run the graph.

        Args:
            inputs: Tensors in the structure of the model's inputs.
            operation_fn: Function of an operation that returns what is called for it.

        Returns:
            Tensors in the structure of the model's outputs.
        """
        raise NotImplementedError


def collect_cycles():
    """Collect the young reference cycles that Keras' trees leave behind on PyTorch.

    They keep features alive; keras-team/keras#23111 removes them. A graph under
    `torch.compile` has no Python objects to collect, and the call would break it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.compiler.is_compiling():
        gc.collect(1)


def restore_jax_state(model):
    """Give a model its variables' values back after an error on JAX.

    `keras.Model.evaluate` and `predict` take the values out of the variables and,
    on an error, do not put them back (Keras 3.15.1).
    """
    model.jax_state_sync()


def is_backend_optimizer(config):
    """Whether a serialized optimizer names a class private to one backend.

    On PyTorch, Keras 3.15 builds optimizers of classes in `keras.src.backend.torch`
    and serializes their private names, which no other backend can read.
    """
    return config["module"].startswith("keras.src.backend.")
