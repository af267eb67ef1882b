"""Small pictures and trees of files."""

import zipfile

import numpy as np
from PIL import Image, ImageDraw
from skimage import data


def photo(size=(178, 218), corner=(0, 0)):
    """A part of a photograph, `size` = (width, height), as a PIL image."""
    left, top = corner
    box = (left, top, left + size[0], top + size[1])
    return Image.fromarray(data.astronaut()).crop(box)


def hole(side, share):
    """A mask, white over that share of its rows."""
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).rectangle((0, 0, side, round(share * side) - 1), fill=255)
    return mask


def zip_folder(folder, path, inside):
    """The files of a folder as a zip, under a folder of that name."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{inside}/{file.relative_to(folder)}")


def write_celeba(root, count=9):
    """A tree of CelebA's layout: of every three pictures one a split."""
    pictures = root / "img_align_celeba"
    training = root / "irregular_mask" / "disocclusion_img_mask"
    testing = root / "mask" / "testing_mask_dataset"
    for folder in (pictures, training, testing):
        folder.mkdir(parents=True)
    lines = []
    for i in range(count):
        name = f"{i + 1:06d}.jpg"
        photo(corner=(20 * i, 10 * i)).save(pictures / name, quality=95)
        lines.append(f"{name} {i % 3}\n")
    (root / "list_eval_partition.txt").write_text("".join(lines))
    for i, share in enumerate((0.1, 0.3)):
        hole(64, share).save(training / f"{i:05d}.png")
    for i, share in enumerate((0.15, 0.35, 0.55)):
        hole(512, share).save(testing / f"{i:05d}.png")
    return root


def arrays(count, side=40):
    """Pictures that differ, as uint8 arrays `[side, side, 3]`."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (side, side, 3), "uint8") for _ in range(count)]


FLAT = {"image_size": 32, "batch_size": 2, "center_crop": False}


def levels(*values, side=32):
    """Pictures of one gray each, which tell their number."""
    return [np.full((side, side, 3), value, "uint8") for value in values]


def shown(dataset):
    """The gray levels of an epoch's pictures, in order."""
    batches = [dataset[i]["image"] for i in range(len(dataset))]
    means = np.concatenate(batches).mean(axis=(1, 2, 3))
    return np.rint((means + 1) * 127.5).astype(int).tolist()


def run_through_keras(dataset, count=2):
    """What Keras' own workers bring to a model, over some epochs."""
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    adapter = PyDatasetAdapter(dataset)
    result = []
    for _ in range(count):
        adapter.on_epoch_begin()
        for batch in adapter._get_iterator():
            result += batch.values()
        adapter.on_epoch_end()
    return result
