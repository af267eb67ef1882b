"""Train CTSDG on CelebA as the paper does.

`python examples/train_celeba.py CELEBA OUT`: CELEBA holds `img_align_celeba` (folder or
zip), `list_eval_partition.txt`, and NVIDIA's irregular masks, `irregular_mask` for
training and `mask` for testing (or `irregular_mask.zip` and `test_mask.zip`). If it is
interrupted, the same command goes on after the last whole epoch.
"""

import argparse
from pathlib import Path

import keras

import keras_ctsdg

BATCH_SIZE = 6


def build(filters, perceptual):
    """The paper's networks, losses and optimizers, which are the defaults."""
    model = keras_ctsdg.CTSDG(
        keras_ctsdg.models.Generator(filters=filters),
        keras_ctsdg.models.Discriminator(filters=filters),
    )
    vgg = keras_ctsdg.models.VGG16Features() if perceptual else None
    model.compile(perceptual_network=vgg)
    return model


def train(
    celeba, out, steps, fine_tuning_steps, steps_per_epoch, filters, image_size, vgg
):
    """Both stages in one `fit`, then the published evaluation."""
    shared = {"batch_size": BATCH_SIZE, "image_size": image_size, "workers": 2}
    dataset = keras_ctsdg.data.celeba(celeba, steps_per_epoch=steps_per_epoch, **shared)
    validation = keras_ctsdg.data.celeba(celeba, "valid", **shared)
    model = build(filters, vgg == "imagenet")
    first_stage = steps // steps_per_epoch
    model.fit(
        dataset,
        epochs=first_stage + fine_tuning_steps // steps_per_epoch,
        callbacks=[
            # Smaller steps, and the generator's batch statistics stay.
            keras_ctsdg.callbacks.FineTuning(first_stage, learning_rate=5e-5),
            keras_ctsdg.callbacks.Throughput(BATCH_SIZE),
            keras_ctsdg.callbacks.SampleGrid(out / "samples", validation[0]),
            keras_ctsdg.callbacks.ResumableCSVLogger(out / "history.csv"),
            # Last: an epoch counts once all of its files are written.
            keras.callbacks.BackupAndRestore(out / "backup", double_checkpoint=True),
        ],
    )
    model.save(out / "model.keras")
    test = keras_ctsdg.data.celeba(celeba, "test", **shared)
    return model.evaluate(test, return_dict=True)


def main():
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
