"""Train by phases, each of which leaves a preset behind."""

import shutil
import warnings
from dataclasses import dataclass

import keras

import keras_ctsdg

from .data import fixed_crops, training_data
from .network import as_plain, average_statistics, build, learning_rate

EPOCH = 100  # Steps; after each there is a backup.
WARMUP = 300
VALIDATION_CROPS = 48
STATISTICS_BATCHES, STATISTICS_BATCH_SIZE = 24, 16


@dataclass(frozen=True)
class Phase:
    """A part of the training with its own image size and its own falling rate.

    Args:
        name: Str.
        image_size: Int.
        batch_size: Int.
        steps: Int, rounded up to whole epochs of 100 steps.
        first_rate: Float, the learning rate after the warm-up.
        last_rate: Float, the learning rate at the end.
    """

    name: str
    image_size: int
    batch_size: int
    steps: int
    first_rate: float
    last_rate: float

    @property
    def epochs(self):
        """The number of epochs."""
        return -(-self.steps // EPOCH)


# Small images cost a fifth, so that most is learned from them. The first two phases
# give something to look at, the others start higher again and last longer.
PHASES = (
    Phase("1-small", 128, 8, 3_000, 2e-3, 2e-4),
    Phase("2-large", 256, 3, 600, 3e-4, 3e-5),
    Phase("3-small", 128, 8, 16_000, 1e-3, 1e-4),
    Phase("4-large", 256, 3, 5_000, 3e-4, 1e-5),
)


def find_presets(phases, work):
    """Return the paths of the presets of all complete phases, in their order.

    Args:
        phases: Iterable of `Phase`.
        work: `pathlib.Path` of the working folder.
    """
    paths = (_preset_path(phase, work) for phase in phases)
    return [path for path in paths if path.is_dir()]


def _preset_path(phase, work):
    return work / "phases" / phase.name


def run_phases(phases, images, work, filters, dtype):
    """Run the phases that are not complete yet, and continue the one under way.

    Args:
        phases: Iterable of `Phase`.
        images: Tuple of two lists of paths, to train on and to validate on.
        work: `pathlib.Path` of the working folder.
        filters: Int, the width of the generator.
        dtype: Str, the dtype policy of the training.

    Yields:
        `pathlib.Path` of the preset, which holds a plain `CTSDG`, of each phase that
        was not complete before.
    """
    previous = None
    for index, phase in enumerate(phases):
        preset = _preset_path(phase, work)
        if not preset.is_dir():
            _run_phase(phase, index, previous, preset, images, filters, dtype)
            yield preset
        previous = preset


def _run_phase(phase, index, previous, preset, images, filters, dtype):
    training, validation = images
    print(f"Phase {phase.name}: {phase}", flush=True)
    keras.utils.set_random_seed(index)
    model = build(filters, dtype)
    if previous is not None:
        trained = keras_ctsdg.from_preset(previous)
        model.generator.set_weights(trained.generator.get_weights())
    schedule = learning_rate(
        phase.first_rate, phase.last_rate, phase.epochs * EPOCH, WARMUP
    )
    with warnings.catch_warnings():
        # The losses of `Restoration` need no perceptual network.
        warnings.filterwarnings("ignore", "`perceptual_network=None`")
        model.compile(generator_optimizer=keras.optimizers.Adam(schedule))
    files = preset.with_name(f"{phase.name}.training")
    files.mkdir(parents=True, exist_ok=True)
    crops = fixed_crops(validation, VALIDATION_CROPS, batch_size=4)
    model.fit(
        training_data(training, phase.image_size, phase.batch_size, EPOCH, seed=index),
        epochs=phase.epochs,
        validation_data=crops,
        verbose=2,
        callbacks=[
            keras_ctsdg.callbacks.Throughput(phase.batch_size),
            keras_ctsdg.callbacks.SampleGrid(files / "samples", crops[0], every=10),
            keras_ctsdg.callbacks.ResumableCSVLogger(files / "history.csv"),
            # Last, so that the backup has only epochs whose files are all written.
            # It is kept until the preset is written.
            keras.callbacks.BackupAndRestore(
                files / "backup", double_checkpoint=True, delete_checkpoint=False
            ),
        ],
    )
    statistics = training_data(training, 256, STATISTICS_BATCH_SIZE, STATISTICS_BATCHES)
    plain = as_plain(model.generator)
    batches = (statistics[i] for i in range(STATISTICS_BATCHES))
    average_statistics(plain.generator, map(plain.complete_inputs, batches))
    plain.save_to_preset(preset)
    shutil.rmtree(files / "backup", ignore_errors=True)
