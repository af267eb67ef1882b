"""Several devices and machines for `keras-ctsdg train`."""

import contextlib

from keras_ctsdg.cli._console import console
from keras_ctsdg.training import distribution


def start_distribution(options):
    """Start the engine that `--distribute` or `torchrun` asks for.

    Args:
        options: `TrainOptions`.

    Returns:
        Context in which the model is created.

    Raises:
        ValueError: If the processes cannot divide a batch.
    """
    if not options.distribute and not distribution.is_launched():
        return contextlib.nullcontext()
    scope = distribution.start()
    count = distribution.process_count()
    if options.batch_size % count:
        raise ValueError(
            f"--batch-size must be a multiple of the {count} processes, which divide "
            f"each batch. Received: --batch-size {options.batch_size}"
        )
    # One process says what all of them do.
    console.quiet = not distribution.is_main_process()
    return scope
