"""Train CTSDG on CelebA as in the paper.

`python examples/train_celeba.py CELEBA OUT`. The folder CELEBA has `img_align_celeba`
(a folder or a zip), `list_eval_partition.txt`, and NVIDIA's irregular masks:
`irregular_mask` for training and `mask` for testing, or `irregular_mask.zip` and
`test_mask.zip`. Run again after an interruption, the same command continues from the
newest checkpoint.
"""

import argparse
from pathlib import Path

import keras_ctsdg

BATCH_SIZE = 6


def make_model(filters, vgg):
    """Return a compiled model with the paper's losses and optimizers, the defaults.

    Args:
        filters: Int, the width of the networks. The paper's is 64.
        vgg: `"imagenet"`, or `"none"` to leave out the perceptual and style losses.
    """
    model = keras_ctsdg.CTSDG(
        keras_ctsdg.models.Generator(filters=filters),
        keras_ctsdg.models.Discriminator(filters=filters),
    )
    perceptual_network = None if vgg == "none" else keras_ctsdg.models.VGG16Features()
    model.compile(perceptual_network=perceptual_network)
    return model


def train(
    celeba, out, steps, fine_tuning_steps, steps_per_epoch, filters, image_size, vgg
):
    """Train both stages in one `fit`, evaluate as published and return the scores."""
    shared = {"batch_size": BATCH_SIZE, "image_size": image_size, "workers": 2}
    dataset = keras_ctsdg.data.celeba(celeba, steps_per_epoch=steps_per_epoch, **shared)
    validation = keras_ctsdg.data.celeba(celeba, "valid", **shared)
    model = make_model(filters, vgg)
    first_stage = steps // steps_per_epoch
    model.fit(
        dataset,
        epochs=first_stage + fine_tuning_steps // steps_per_epoch,
        callbacks=[
            # The second stage: a lower learning rate, and frozen batch statistics.
            keras_ctsdg.callbacks.FineTuning(first_stage, learning_rate=5e-5),
            keras_ctsdg.callbacks.Throughput(BATCH_SIZE),
            keras_ctsdg.callbacks.SampleGrid(out / "samples", validation[0]),
            keras_ctsdg.callbacks.ResumableCSVLogger(out / "history.csv"),
            keras_ctsdg.callbacks.TrainingCheckpoint(out / "checkpoints"),
        ],
    )
    model.save(out / "model.keras")
    test = keras_ctsdg.data.celeba(celeba, "test", **shared)
    return model.evaluate(test, return_dict=True)


def main():
    """Train with the options of the command line and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("celeba", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=350_000)
    parser.add_argument("--fine-tuning-steps", type=int, default=150_000)
    parser.add_argument("--steps-per-epoch", type=int, default=1000)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--vgg", choices=["imagenet", "none"], default="imagenet")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    scores = train(**vars(arguments))
    for name in ("psnr", "ssim", "mae"):
        for group in ("", "_0_20", "_20_40", "_40_60"):
            print(f"{name + group:12} {scores[name + group]:.4f}")


if __name__ == "__main__":
    main()
