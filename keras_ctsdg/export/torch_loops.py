"""Loops that stay loops in the graphs of `torch.export`."""

import contextlib


def while_loop(cond, body, loop_vars):
    """Loop as `keras.ops.while_loop` does, which `torch.export` cannot follow.

    Args:
        cond: Function of the variables that returns a bool tensor.
        body: Function of the variables that returns them for the next round.
        loop_vars: Tuple of tensors.

    Returns:
        Tuple of the variables after the loop.
    """
    from torch._higher_order_ops.while_loop import while_loop

    # An output that is one of the inputs is refused.
    return while_loop(lambda *x: cond(*x).clone(), body, loop_vars)


@contextlib.contextmanager
def looped_attention(generator):
    """Let the attention loop over blocks of rows, instead of repeating their graph.

    Args:
        generator: `keras_ctsdg.models.Generator`.
    """
    layer = generator.get_layer("contextual_aggregation").region_affinity
    original = layer.map_rows

    def map_rows(function, zeros, height, rows):
        if rows == height:
            return original(function, zeros, height, rows)
        return _map_rows(function, zeros, height, rows)

    layer.map_rows = map_rows
    try:
        yield
    finally:
        del layer.map_rows


def _map_rows(function, zeros, height, rows):
    """Do what `RegionAffinityLearning.map_rows` documents."""
    import torch

    steps = height // rows
    results = zeros.new_zeros((steps, *zeros.shape))
    # A number that is not known yet could not be used inside the loop.
    steps = torch.as_tensor(steps, device=zeros.device)

    def body(step, results):
        result = function(step * rows)
        return step + 1, results.index_copy(0, step[None], result[None])

    first = torch.zeros((), dtype=torch.int64, device=zeros.device)
    return while_loop(lambda step, _: step < steps, body, (first, results))[1]
