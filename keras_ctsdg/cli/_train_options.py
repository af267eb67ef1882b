from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from keras_ctsdg.conventions import Edges, Upsampling
from keras_ctsdg.data import Crop, OnError
from keras_ctsdg.losses import LOSS_WEIGHTS

# The data set takes None for a whole image, which a choice cannot be.


class CropChoice(StrEnum):
    """`keras_ctsdg.data.Crop`, with a word for no crop."""

    CENTER = Crop.CENTER
    RANDOM = Crop.RANDOM
    NONE = "none"


def _in_panel(panel):
    """Return a function that declares options of one panel of `--help`."""

    def option(default, help_text, **limits):
        metadata = {"help": help_text, "rich_help_panel": panel, **limits}
        return field(default=default, metadata=metadata)

    return option


_data = _in_panel("Data")
_schedule = _in_panel("Schedule")
_loss = _in_panel("Losses")
_model = _in_panel("Networks")
_report = _in_panel("Reports")


def _loss_weight(term):
    return _loss(LOSS_WEIGHTS[term], f"Weight of the {term} loss.", min=0.0)


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options of `keras-ctsdg train`; the defaults are the paper's."""

    images: Path | None = _data(None, "Folder or zip of images.")
    masks: Path | None = _data(
        None, "Folder or zip of masks; white marks the hole. By default random."
    )
    celeba: Path | None = _data(
        None, "Folder of CelebA, instead of --images and --masks."
    )
    validation_images: Path | None = _data(
        None, "Folder or zip of images to validate on."
    )
    validation_masks: Path | None = _data(None, "Their masks. By default random.")
    image_size: int = _data(256, "Side in pixels, a multiple of 128.", min=128)
    crop: CropChoice = _data(
        CropChoice.CENTER,
        "Part of a training image that is resized to --image-size; `none` stretches "
        "the whole image.",
    )
    horizontal_flip: bool = _data(False, "Mirror a random half of the images.")
    mask_ratio: tuple[float, float] = _data(
        (0.1, 0.4), "Least and greatest share of the image under a random mask."
    )
    on_error: OnError = _data(OnError.RAISE, "`skip` continues without unusable files.")
    workers: int = _data(2, "Workers that prepare batches.", min=1)
    processes: bool = _data(False, "Workers are processes, not threads.")

    batch_size: int = _schedule(6, "Images in a batch.", min=1)
    steps: int = _schedule(350_000, "Steps of the first stage.", min=0)
    fine_tuning_steps: int = _schedule(150_000, "Steps of fine-tuning.", min=0)
    steps_per_epoch: int = _schedule(
        1000, "Steps between two validations and grids of samples.", min=1
    )
    checkpoint_every: int = _schedule(500, "Steps between two checkpoints.", min=1)
    learning_rate: float = _schedule(2e-4, "Of the generator.", min=0.0)
    discriminator_learning_rate: float | None = _schedule(
        None, "By default a tenth of the generator's.", min=0.0
    )
    fine_tuning_learning_rate: float = _schedule(
        5e-5, "Of the generator, in fine-tuning.", min=0.0
    )
    fine_tuning_discriminator_learning_rate: float | None = _schedule(
        None, "By default a tenth of the generator's.", min=0.0
    )
    max_bad_steps: int = _schedule(
        10,
        "Steps in a row with losses or gradients that are not finite, at which the "
        "training stops.",
        min=1,
    )
    hole_weight: float = _loss_weight("hole")
    valid_weight: float = _loss_weight("valid")
    perceptual_weight: float = _loss_weight("perceptual")
    style_weight: float = _loss_weight("style")
    adversarial_weight: float = _loss_weight("adversarial")
    intermediate_weight: float = _loss_weight("intermediate")
    vgg: str = _loss(
        "imagenet",
        "`imagenet`, a file of VGG16 weights, or `none` for no perceptual and style "
        "losses.",
    )

    from_preset: str | None = _model(
        None,
        "Preset whose weights the training starts from: a name, a folder, a `.keras` "
        "file or a hub's handle. It decides the next four options.",
        name="--from",
    )
    filters: int | None = _model(
        None, "Width of the networks. By default the paper's, 64.", min=4
    )
    upsampling: Upsampling | None = _model(
        None, "Alignment of bilinear upsampling. By default half_pixel."
    )
    edges: Edges | None = _model(
        None,
        "`wrapped` computes gray and edges as the original implementations do. By "
        "default clean.",
    )
    sigma: float | None = _model(
        None, "Standard deviation of Canny's Gaussian in pixels. By default 2."
    )
    edges_on_device: bool = _model(
        False, "Compute gray and edges in the model, not in the workers."
    )
    distribute: bool = _model(
        False,
        "Train on all devices, and on several machines where the environment says so: "
        "`docs/distribution.md`. A batch is divided among them.",
    )
    policy: str = _model("float32", "Dtype policy, such as `mixed_bfloat16`.")
    seed: int = _model(0, "Equal seeds give equal initial weights and batches.", min=0)

    tensorboard: bool = _report(
        False, "Write losses, validations and samples for TensorBoard, too."
    )
    samples_every: int | None = _report(
        None,
        "Steps between two grids of samples for TensorBoard. By default one an epoch.",
        min=1,
    )
    validate_every: int | None = _report(
        None,
        "Steps between two validations by mask ratio, in validation.csv. By default "
        "there are none.",
        min=1,
    )
