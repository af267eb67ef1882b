import sys


def resolve_verbosity(verbose="auto"):
    """Choose how `fit` reports its progress.

    A file gets one line per epoch instead of a progress bar, which would write a line
    for every step.

    Args:
        verbose: Int as `fit` takes it, or `"auto"` for a progress bar in a terminal
            and one line per epoch elsewhere. Defaults to `"auto"`.

    Returns:
        Int, for the argument `verbose` of `fit`.
    """
    if verbose != "auto":
        return verbose
    return 1 if sys.stdout.isatty() else 2
