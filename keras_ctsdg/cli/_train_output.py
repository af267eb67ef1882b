"""The folder that `keras-ctsdg train` writes to, and resumes from."""

import shutil
import warnings
from dataclasses import fields

from keras_ctsdg import callbacks
from keras_ctsdg._checks import check_writable_folder
from keras_ctsdg.training.checkpoint_files import (
    MODEL,
    DamagedCheckpointError,
    find_checkpoints,
    read_checkpoint,
)
from keras_ctsdg.training.checkpoint_options import describe_dataset
from keras_ctsdg.training.saving import remove_partial_files, replace_when_complete

CHECKPOINTS = "checkpoints"
BEST = "best.keras"

# A training may go on with other values of these: they decide what is done next, or how
# fast, or only the name of a place. Images and masks are compared by their own names,
# and the start of fine-tuning where it has begun.
HARMLESS = {
    "images",
    "masks",
    "celeba",
    "validation_images",
    "validation_masks",
    "on_error",
    "workers",
    "processes",
    "steps",
    "fine_tuning_steps",
    "checkpoint_every",
    "max_bad_steps",
    "tensorboard",
    "samples_every",
    "validate_every",
}


def check_output(out, overwrite, epochs):
    """Check that a training can begin or go on in a folder.

    Args:
        out: `pathlib.Path` of the folder.
        overwrite: Bool, whether a finished training is replaced.
        epochs: Int, the number of epochs of the training.

    Raises:
        ValueError: If the folder cannot be written to, or holds a training that is
            finished or of an earlier version.
    """
    check_writable_folder("--out", out)
    if (out / "backup").exists():
        raise ValueError(
            "--out must not hold a training of an earlier version, which cannot be "
            f"resumed. Choose another --out, with --from {out / MODEL} to start from "
            f"its weights. Received: --out {out}"
        )
    if not overwrite and _is_finished(out, epochs):
        raise ValueError(
            "--out must not hold a finished training, unless with --overwrite. "
            f"Received: --out {out}"
        )


def prepare_output(out, epochs):
    """Create the folder, without a finished training and what killed ones left.

    Args:
        out: `pathlib.Path` of the folder, which `check_output` accepts.
        epochs: Int, the number of epochs of the training.
    """
    out.mkdir(parents=True, exist_ok=True)
    remove_partial_files(out)
    if _is_finished(out, epochs):
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
        for name in (BEST, MODEL):
            (out / name).unlink(missing_ok=True)


def _is_finished(out, epochs):
    """Return whether the final model is there, and no more epochs are wanted."""
    found = find_checkpoints(out / CHECKPOINTS)
    return (out / MODEL).exists() and (not found or found[0][0].epoch >= epochs)


def make_checkpoint(out, options, validation, accept_changes):
    """Return a `TrainingCheckpoint` that knows the options that decide the training.

    Args:
        out: `pathlib.Path` of the folder of results.
        options: `TrainOptions`.
        validation: `keras_ctsdg.data.InpaintingDataset`, or `None`.
        accept_changes: Bool, whether a training is resumed with other options.
    """
    decisive = {
        _option_name(field): getattr(options, field.name)
        for field in fields(options)
        if field.name not in HARMLESS
    }
    if validation is not None:
        for name, value in describe_dataset(validation).items():
            decisive[name.replace("dataset", "validation")] = value
    return callbacks.TrainingCheckpoint(
        out / CHECKPOINTS,
        every=options.checkpoint_every,
        options=decisive,
        accept_changes=accept_changes,
    )


def _option_name(field):
    return field.metadata.get("name", f"--{field.name.replace('_', '-')}")


def copy_best(out, checkpoint):
    """Copy the model of the best epoch.

    Args:
        out: `pathlib.Path` of the folder of results.
        checkpoint: `TrainingCheckpoint` of the training that has just ended.

    Returns:
        Str, the end of a line that names the best epoch; empty without validation.
    """
    if checkpoint.best is None:
        return ""
    try:
        epoch = read_checkpoint(checkpoint.best)[0]["epoch"]
    except DamagedCheckpointError as error:
        warnings.warn(f"{checkpoint.best} is passed over: {error}.", stacklevel=2)
        return ""
    with replace_when_complete(out / BEST) as path:
        shutil.copyfile(checkpoint.best / MODEL, path)
    value = f"{checkpoint.best_value:.2f}"
    return f"; {BEST} is of epoch {epoch}, whose {checkpoint.monitor} is {value}"
