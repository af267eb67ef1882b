import sys

from keras_ctsdg.training.distribution import is_main_process


def resolve_verbosity(verbose="auto"):
    """Choose how `fit` reports its progress.

    A file gets one line per epoch instead of a progress bar, which would write a line
    for every step.

    Args:
        verbose: Int as `fit` takes it, or `"auto"` for a progress bar in a terminal
            and one line per epoch elsewhere; of several processes that train together
            only the first one reports. Defaults to `"auto"`.

    Returns:
        Int, for the argument `verbose` of `fit`.
    """
    if verbose != "auto":
        return verbose
    if not is_main_process():
        return 0
    return 1 if sys.stdout.isatty() else 2
