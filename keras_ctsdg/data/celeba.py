"""CelebA and NVIDIA's irregular masks, read in the layout of their downloads."""

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
PARTITION_FILES = ("list_eval_partition.txt", "list_eval_partitions.txt")
IMAGES = ("img_align_celeba", "img_align_celeba.zip")
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
    """Return CelebA's aligned faces with NVIDIA's irregular masks.

    `root` is a folder that contains

    - `img_align_celeba/` or `img_align_celeba.zip`, the images;
    - `list_eval_partition.txt` (or `list_eval_partitions.txt`), the split of each
      image;
    - for `"train"`, `irregular_mask/disocclusion_img_mask/` or
      `irregular_mask.zip`, and for the others `mask/testing_mask_dataset/` or
      `test_mask.zip`.

    Args:
        root: Path of that folder.
        split: `"train"`, in random order with random training masks; or `"valid"`
            or `"test"`, in order, image i with testing mask i modulo their number.
            Defaults to `"train"`.
        batch_size: Int. Defaults to `6`, as in the paper.
        image_size: Int or tuple `(H, W)`. Defaults to `256`: as in the paper, a
            center crop of 178 x 178 is resized to 256 x 256.
        **kwargs: Further arguments of `keras_ctsdg.data.InpaintingDataset`, such
            as `edges="wrapped"` for weights of the original implementations.

    Returns:
        `keras_ctsdg.data.InpaintingDataset`. Its batches are dicts of float32 arrays:
        `image` `[B, H, W, 3]` in [-1, 1], `gray` `[B, H, W, 1]` in [0, 1], `edge` and
        `mask` `[B, H, W, 1]`, 0 or 1, where 1 in a mask marks the hole.

    Raises:
        ValueError: If `split` is not one of the three, a part of the layout is
            missing, or the split names images that do not exist.

    Example:

    ```python
    model.fit(keras_ctsdg.data.celeba("celeba"), epochs=13)
    model.evaluate(keras_ctsdg.data.celeba("celeba", split="test"))
    ```
    """
    split = check_choice("split", split, Split)
    root = Path(root)
    is_training = split == Split.TRAIN
    partition = _first_existing(root, PARTITION_FILES)
    images = ImageFiles(_first_existing(root, IMAGES))
    mask_names = TRAINING_MASKS if is_training else TESTING_MASKS
    masks = MaskFiles(_first_existing(root, mask_names))
    return InpaintingDataset(
        images.select(_split_indices(images, partition, split)),
        masks,
        batch_size=batch_size,
        image_size=image_size,
        **{"shuffle": is_training, **kwargs},
    )


def _first_existing(root, names):
    """Return the first path of `names` in `root` that exists."""
    for name in names:
        if (root / name).exists():
            return root / name
    raise ValueError(
        f"`root` must contain {' or '.join(names)}. Received: root={root}"
        + ("" if root.is_dir() else ", which is not a folder")
    )


def _split_indices(images, partition, split):
    """Return the indices of the images that the partition file assigns to a split."""
    wanted = []
    for number, line in enumerate(partition.read_text().splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            raise ValueError(
                f"Line {number} of {partition} must be the name of an image and 0, 1 "
                f"or 2. Received: {line!r}"
            )
        if SPLITS[int(words[1])] == split:
            wanted.append(words[0])
    indices = {PurePath(images.name(i)).name: i for i in range(len(images))}
    missing = [name for name in wanted if name not in indices]
    if missing or not wanted:
        raise ValueError(
            f"{partition} must name existing images for split={split!r}. Received: "
            f"{len(wanted)} names, {len(missing)} of them missing: "
            f"{', '.join(missing[:5])}"
        )
    return [indices[name] for name in wanted]
