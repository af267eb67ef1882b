"""Finding the newest checkpoint that verifies, and loading it into a model."""

import warnings
from pathlib import Path
from typing import NamedTuple

from keras_ctsdg.training.checkpoint_files import (
    MODEL,
    DamagedCheckpointError,
    Position,
    find_checkpoints,
    read_checkpoint,
)
from keras_ctsdg.training.checkpoint_options import (
    OPTIMIZERS,
    describe_changes,
    describe_versions,
    find_changes,
)


class Checkpoint(NamedTuple):
    """A checkpoint that was verified."""

    position: Position
    path: Path
    manifest: dict
    state: dict


def find_newest(folder):
    """Find the newest checkpoint that verifies, and warn of those passed over.

    Args:
        folder: `pathlib.Path` of the folder of checkpoints, which need not exist.

    Returns:
        Tuple of a `Checkpoint`, `None` if there is no checkpoint, and of the list of
        paths that were passed over.

    Raises:
        ValueError: If there are checkpoints, and none of them verifies.
    """
    passed_over = []
    for position, path in find_checkpoints(folder):
        try:
            return Checkpoint(position, path, *read_checkpoint(path)), passed_over
        except DamagedCheckpointError as error:
            warnings.warn(f"{path} is passed over: {error}.", stacklevel=2)
            passed_over.append(path)
    if passed_over:
        raise ValueError(
            "`folder` must hold a checkpoint that can be used, or none. Remove it to "
            f"begin anew. Received: folder={folder}, with {len(passed_over)} damaged "
            "checkpoints alone"
        )
    return None, passed_over


def load_checkpoint(model, checkpoint, training, accept_changes):
    """Load a checkpoint into the model whose training it belongs to.

    Args:
        model: A `keras_ctsdg.CTSDG` as it was compiled.
        checkpoint: `Checkpoint`.
        training: Dict of what decides the training, as `describe_training` returns it.
        accept_changes: Bool, whether it may differ from that of the checkpoint. Rates
            are then the new ones.

    Raises:
        ValueError: If it differs and may not, or the weights do not fit.
    """
    path, manifest = checkpoint.path, checkpoint.manifest
    epoch = checkpoint.position.epoch
    changes = find_changes(manifest["options"], training, epoch)
    if changes and not accept_changes:
        raise ValueError(
            "Options must be those of the training that is resumed, unless with "
            "`accept_changes=True` (`--accept-changes`). Received: "
            f"{describe_changes(changes)}, in {path}"
        )
    if manifest["versions"] != describe_versions():
        warnings.warn(
            f"{path} was written by other versions, so losses may differ in their last "
            f"digits: {manifest['versions']}.",
            stacklevel=2,
        )
    # A rate is a weight of the optimizer, unless it follows a schedule.
    rates = {
        role: training[name]
        for role in OPTIMIZERS
        if (name := f"{role}.learning_rate") in changes
        and isinstance(training[name], float)
    }
    try:
        with warnings.catch_warnings():
            # Keras would go on with new optimizers.
            warnings.filterwarnings("error", message="Skipping variable loading")
            model.load_weights(path / MODEL)
    except (ValueError, UserWarning) as error:
        raise ValueError(
            "The checkpoint must fit the model that is trained. Received: "
            f"{path}, which does not: {str(error).splitlines()[0]}"
        ) from None
    for role, rate in rates.items():
        getattr(model, role).learning_rate = rate
