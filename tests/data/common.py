"""Small images, masks and folders of files."""

import zipfile

import numpy as np
from PIL import Image, ImageDraw
from skimage import data

from tests._keras_private import PyDatasetAdapter

# Arguments of data sets that keep small images as they are.
SMALL = {"image_size": 32, "batch_size": 2, "crop": None}


def photo(size=(178, 218), corner=(0, 0)):
    """Return a part of a photograph, `size` = (width, height), as a PIL image."""
    left, top = corner
    box = (left, top, left + size[0], top + size[1])
    return Image.fromarray(data.astronaut()).crop(box)


def hole_mask(side, mask_ratio):
    """Return a mask whose hole, in white, covers a share of its rows."""
    mask = Image.new("L", (side, side))
    box = (0, 0, side, round(mask_ratio * side) - 1)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


def zip_folder(folder, path, inside):
    """Write the files of a folder to a zip, in a folder of the name `inside`."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{inside}/{file.relative_to(folder)}")


def write_celeba(root, count=9):
    """Write a folder in CelebA's layout, with every third image in each split."""
    images = root / "img_align_celeba"
    training = root / "irregular_mask" / "disocclusion_img_mask"
    testing = root / "mask" / "testing_mask_dataset"
    for folder in (images, training, testing):
        folder.mkdir(parents=True)
    lines = []
    for i in range(count):
        name = f"{i + 1:06d}.jpg"
        photo(corner=(20 * i, 10 * i)).save(images / name, quality=95)
        lines.append(f"{name} {i % 3}\n")
    (root / "list_eval_partition.txt").write_text("".join(lines))
    for i, mask_ratio in enumerate((0.1, 0.3)):
        hole_mask(64, mask_ratio).save(training / f"{i:05d}.png")
    for i, mask_ratio in enumerate((0.15, 0.35, 0.55)):
        hole_mask(512, mask_ratio).save(testing / f"{i:05d}.png")
    return root


def noise_images(count, side=40):
    """Return different images as uint8 arrays `[side, side, 3]`."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (side, side, 3), "uint8") for _ in range(count)]


def gray_images(*levels, side=32):
    """Return images of one gray level each, by which tests recognize them."""
    return [np.full((side, side, 3), level, "uint8") for level in levels]


def read_levels(dataset):
    """Return the gray level of each image of an epoch, in order."""
    batches = [dataset[i]["image"] for i in range(len(dataset))]
    means = np.concatenate(batches).mean(axis=(1, 2, 3))
    return np.rint((means + 1) * 127.5).astype(int).tolist()


def read_arrays(dataset, epochs=2):
    """Return the arrays of all batches of some epochs, read in this thread."""
    result = []
    for _ in range(epochs):
        result += [array for i in range(len(dataset)) for array in dataset[i].values()]
        dataset.on_epoch_end()
    return result


def read_arrays_with_workers(dataset, epochs=2):
    """Return the arrays of all batches of some epochs, read by Keras' workers."""
    adapter = PyDatasetAdapter(dataset)
    result = []
    for _ in range(epochs):
        adapter.on_epoch_begin()
        for batch in adapter._get_iterator():
            result += batch.values()
        adapter.on_epoch_end()
    return result
