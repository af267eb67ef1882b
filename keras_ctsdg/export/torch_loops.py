"""Loops that stay loops in the graphs of `torch.export`."""


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
