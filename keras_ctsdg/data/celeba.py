"""CelebA and the NVIDIA masks, as they come."""

from enum import StrEnum
from pathlib import Path, PurePath

from keras_ctsdg._checks import check_choice
from keras_ctsdg.data.dataset import InpaintingDataset
from keras_ctsdg.data.images import ImageFiles
from keras_ctsdg.data.masks import MaskFiles


class Split(StrEnum):
    """The splits of CelebA, in the order of their numbers in its partition file."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


SPLITS = tuple(Split)
PARTITIONS = ("list_eval_partition.txt", "list_eval_partitions.txt")
PICTURES = ("img_align_celeba", "img_align_celeba.zip")
TRAINING_MASKS = (
    "irregular_mask/disocclusion_img_mask",
    "disocclusion_img_mask",
    "irregular_mask.zip",
)
TESTING_MASKS = (
    "mask/testing_mask_dataset",
    "testing_mask_dataset",
    "test_mask.zip",
)


def celeba(root, split="train", batch_size=6, image_size=256, **kwargs):
    """CelebA's aligned faces under NVIDIA's irregular masks.

    `root` is a folder that holds

    - `img_align_celeba/` or `img_align_celeba.zip`, the pictures;
    - `list_eval_partition.txt` (or `list_eval_partitions.txt`), who belongs to which
      split;
    - for `"train"`, `irregular_mask/disocclusion_img_mask/` or
      `irregular_mask.zip`, and for the others `mask/testing_mask_dataset/` or
      `test_mask.zip`.

    Args:
        root: Path of that folder.
        split: `"train"`, in random order under random training masks; or `"valid"`
            or `"test"`, in order, picture i under testing mask i modulo their
            number. Defaults to `"train"`.
        batch_size: Int. Defaults to `6`, the paper's.
        image_size: Int or tuple `(H, W)`. Defaults to `256`: as the paper, a
            centre crop of 178 x 178 is resized to 256 x 256.
        **kwargs: Further arguments of `keras_ctsdg.data.InpaintingDataset`, such
            as `edges="wrapped"` for weights of the original implementations.

    Returns:
        `keras_ctsdg.data.InpaintingDataset`.

    Raises:
        ValueError: If `split` is none of the three, a part of the layout is not
            there, or the split names pictures that are not there.

    Example:

    ```python
    model.fit(keras_ctsdg.data.celeba("celeba"), epochs=13)
    model.evaluate(keras_ctsdg.data.celeba("celeba", split="test"))
    ```
    """
    check_choice("split", split, Split)
    root = Path(root)
    training = split == "train"
    partition = _find(root, PARTITIONS)
    images = ImageFiles(_find(root, PICTURES))
    masks = MaskFiles(_find(root, TRAINING_MASKS if training else TESTING_MASKS))
    return InpaintingDataset(
        images.select(_of_split(images, partition, split)),
        masks,
        batch_size=batch_size,
        image_size=image_size,
        **{"shuffle": training, **kwargs},
    )


def _find(root, names):
    """The first of them that is there."""
    for name in names:
        if (root / name).exists():
            return root / name
    raise ValueError(
        f"`root` must hold {' or '.join(names)}. Received: root={root}"
        + ("" if root.is_dir() else ", which is no folder")
    )


def _of_split(images, partition, split):
    """Where the split's pictures stand among all."""
    wanted = []
    for number, line in enumerate(partition.read_text().splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise ValueError(
                f"Line {number} of {partition} must be a picture's name and 0, 1 or "
                f"2. Received: {line!r}"
            )
        if SPLITS[int(words[1])] == split:
            wanted.append(words[0])
    places = {PurePath(images.name(i)).name: i for i in range(len(images))}
    absent = [name for name in wanted if name not in places]
    if absent or not wanted:
        raise ValueError(
            f"{partition} must name pictures that are there for split={split!r}. "
            f"Received: {len(wanted)} names, of which {len(absent)} absent: "
            f"{', '.join(absent[:5])}"
        )
    return [places[name] for name in wanted]
