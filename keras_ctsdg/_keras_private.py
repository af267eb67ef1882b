"""Everything the package uses of Keras that Keras does not make public.

Each function says why it is needed and which upstream change makes it unnecessary.
Checked against Keras 3.15.1; `tests/test_keras_private.py` checks each assumption and
fails where a later release breaks one.
"""

import contextlib
import gc
import sys
import threading

import keras

# === Graphs of functional models ===


def graph_nodes(model):
    """Return the operation nodes of a functional model, without its inputs.

    `models._memory_efficient` needs them to run a graph in an order of its own and to
    release each feature after its last use. Keras holds all features until a call
    ends; this function and those up to `GraphRunner` can go once it does not.

    Args:
        model: A functional `keras.Model`.

    Returns:
        List of nodes, each after those that it depends on.
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
    """Return the arguments of a node's call, with values for its tensors.

    See `graph_nodes`.

    Args:
        node: A node of `graph_nodes`.
        values: Dict of the tensors' values by the ids of the symbolic tensors.

    Returns:
        Tuple of the positional arguments and a dict of the keyword arguments.
    """
    return node.arguments.fill_in(values)


def pack_outputs(model, outputs):
    """Arrange a flat list of outputs as the model's outputs. See `graph_nodes`."""
    return keras.tree.pack_sequence_as(model._outputs_struct, outputs)


class GraphRunner(keras.Model):
    """A functional model whose subclass may run the graph itself.

    Overrides the private method that every call of a functional model goes through.
    See `graph_nodes`.
    """

    def _run_through_graph(self, inputs, operation_fn=lambda op: op, call_fn=None):
        # Keras passes `call_fn` where it checks a graph without running it.
        if call_fn is None:
            return self.run_graph(inputs, operation_fn)
        return super()._run_through_graph(inputs, operation_fn, call_fn)

    def run_graph(self, inputs, operation_fn):
        """Run the graph, by default as Keras does.

        Args:
            inputs: Tensors in the structure of the model's inputs.
            operation_fn: Function that takes an operation and returns the callable
                to run for it.

        Returns:
            Tensors in the structure of the model's outputs.
        """
        return super()._run_through_graph(inputs, operation_fn)


# === Layers of layers ===


def all_layers(model):
    """Return a model and all layers in it, each before its own parts.

    `training.trainable_state` needs them to restore `trainable` flags. Keras makes
    the layers of a model public, but not those of a layer.
    """
    return model._flatten_layers()


# === Compilation and memory on PyTorch ===


class OwnCompilation:
    """A trainer whose steps compile themselves, if they are to be compiled.

    On PyTorch, Keras wraps steps in `torch.compile`, which splits them wherever it
    cannot read Keras' own code (Keras 3.15.1).
    """

    def _should_torch_compile(self):
        return False


def collect_cycles():
    """Collect the young reference cycles that Keras' trees leave behind on PyTorch.

    The cycles keep features alive. keras-team/keras#23111, which Keras 3.15.1 does
    not have yet, avoids them.
    """
    torch = sys.modules.get("torch")
    # Under `torch.compile` there is nothing to collect, and the call would split the
    # compiled graph.
    if torch is None or not torch.compiler.is_compiling():
        gc.collect(1)


# === Several devices on TensorFlow ===


class BuiltModel(keras.Model):
    """A model that `compile` has built, so that `fit` need not do it.

    Under `tf.distribute`, Keras averages the parts of the first batch for that, which
    fails if they differ in size or belong to several hosts (Keras 3.15.1).
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        pass


# === Variables on JAX ===


class RecoverableState(keras.Model):
    """A model whose variables keep their values on JAX when an error ends a run.

    On JAX, `fit`, `evaluate` and `predict` take the values out of the variables, and
    put them back at the end or after an error in `fit`, but not before the first step
    is complete (Keras 3.15.1). The values are then those after the last complete step.
    While one thread has taken them out, the others wait.
    """

    def _get_jax_state(self, purge_model_variables=False, **kinds):
        state = super()._get_jax_state(
            purge_model_variables=purge_model_variables, **kinds
        )
        if purge_model_variables:
            # `jax_state_sync` puts these back, until Keras has those of a step.
            names = [name for name, is_wanted in kinds.items() if is_wanted]
            self._jax_state = dict(zip(names, state, strict=True))
            self._jax_state_synced = False
        return state

    @contextlib.contextmanager
    def recover_state(self):
        """Put the values back into the variables if the code within raises an error.

        Methods that are called within, by the same thread, share its lock.
        """
        with self._state_lock():
            try:
                yield
            except BaseException:
                self.jax_state_sync()
                self._jax_state = None
                raise

    def _state_lock(self):
        # Keras copies and pickles models by their configs, without this attribute.
        return self.__dict__.setdefault("_state_lock_object", threading.RLock())


@contextlib.contextmanager
def replace_values(variables, replace):
    """Give variables other values, whatever their layout, and put their own back.

    `training.step_jax` needs it to predict in one of several processes. Keras assigns
    values only to the devices of all processes (Keras 3.15.1).

    Args:
        variables: List of Keras variables on JAX.
        replace: Function of a value that returns another one.
    """
    own = [(v, v._value, v._layout) for v in variables]
    try:
        for variable, value, _ in own:
            variable._value, variable._layout = replace(value), None
        yield
    finally:
        for variable, value, layout in own:
            variable._value, variable._layout = value, layout


# === Statistics of batches ===


class OwnMoments(keras.layers.BatchNormalization):
    """A batch normalization whose subclass may compute the moments of a batch.

    Overrides the private method that computes them. `layers._batch_norm` needs it
    because `synchronized=True` is for TensorFlow alone and takes no weights of samples
    (Keras 3.15.1); keras-team/keras#23316 and #23418 may bring it to PyTorch.
    """

    def _moments(self, inputs, mask):
        moments = self.compute_moments(inputs)
        return super()._moments(inputs, mask) if moments is None else moments

    def compute_moments(self, inputs):
        """Return mean and variance `[C]` of inputs, or `None` for those of Keras."""


# === Saved objects ===


def name_package(cls):
    """Put the package before the name of a class, as a decorator.

    `keras.saving.load_model` imports no packages but Keras' own (Keras 3.15.1). Of a
    file whose package has not been imported, its error says that this name could not
    be located; so the name must tell what to import. The registered name, by which
    the class is found, stays.
    """
    cls.__name__ = f"{cls.__module__.partition('.')[0]}.{cls.__name__}"
    return cls


def is_backend_optimizer(config):
    """Return whether a serialized optimizer names a class private to one backend.

    On PyTorch, Keras 3.15 creates optimizers of classes in `keras.src.backend.torch`
    and serializes their private names, which no other backend can read.

    Args:
        config: Dict, as `keras.saving.serialize_keras_object` returns it.
    """
    return config["module"].startswith("keras.src.backend.")
