import shutil

import numpy as np
import pytest
from PIL import Image

from keras_ctsdg.data import celeba
from keras_ctsdg.data.images import ImageError
from tests.data.common import hole_mask, write_celeba, zip_folder
from tests.golden_files import GOLDEN, read_golden

pytestmark = pytest.mark.backend_independent


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_celeba(tmp_path_factory.mktemp("celeba"))


@pytest.fixture(scope="module")
def zipped(root, tmp_path_factory):
    """The same as downloaded zips, with the other spelling of the partition file."""
    folder = tmp_path_factory.mktemp("zipped")
    for source, name, inside in (
        ("img_align_celeba", "img_align_celeba.zip", "img_align_celeba"),
        ("irregular_mask", "irregular_mask.zip", "irregular_mask"),
        ("mask", "test_mask.zip", "mask"),
    ):
        zip_folder(root / source, folder / name, inside)
    split = (root / "list_eval_partition.txt").read_text()
    (folder / "list_eval_partitions.txt").write_text(split)
    return folder


@pytest.mark.parametrize("edges", ["clean", "wrapped"])
def test_golden(tmp_path, edges):
    """The preprocessing equals the original, from the files on."""
    write_celeba(tmp_path, count=3)
    # The only image of the split is a PNG, because a JPEG would change its levels.
    shutil.copy(GOLDEN / "photo_178x218.png", tmp_path / "img_align_celeba" / "p.png")
    (tmp_path / "list_eval_partition.txt").write_text("p.png 2\n")
    masks = tmp_path / "mask" / "testing_mask_dataset"
    shutil.copy(GOLDEN / "mask_512x512.png", masks / "00000.png")
    batch = celeba(tmp_path, "test", edges=edges)[0]
    numbers = read_golden("preprocessing.npz")
    np.testing.assert_allclose(batch["image"][0], numbers["image"], atol=1e-6)
    np.testing.assert_allclose(batch["gray"][0], numbers[f"gray_{edges}"], atol=1e-6)
    np.testing.assert_array_equal(batch["edge"][0], numbers[f"edge_{edges}"])
    np.testing.assert_array_equal(batch["mask"][0], numbers["mask"])


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_zips_equal_folders(root, zipped, split):
    folders, zips = celeba(root, split), celeba(zipped, split)
    for key, value in folders[0].items():
        np.testing.assert_array_equal(zips[0][key], value)
    names = {folders.source_names(i)[0].split("/")[-1] for i in range(3)}
    first = {"train": 1, "valid": 2, "test": 3}[split]
    assert names == {f"{first + i:06d}.jpg" for i in (0, 3, 6)}


def test_training_uses_training_masks(root):
    dataset = celeba(root)
    assert dataset.shuffle
    assert dataset.batch_size == 6
    for _ in range(3):
        ratios = {round(float(m.mean()), 1) for m in dataset[0]["mask"]}
        assert ratios <= {0.1, 0.3}
        dataset.on_epoch_end()


@pytest.mark.parametrize("split", ["valid", "test"])
def test_evaluation_uses_testing_masks_in_order(root, split):
    dataset = celeba(root, split)
    assert [dataset.source_indices(i) for i in range(3)] == [(0, 0), (1, 1), (2, 2)]
    ratios = dataset[0]["mask"].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(ratios, [0.15, 0.35, 0.55], atol=0.01)


def test_bad_layouts(tmp_path, root):
    with pytest.raises(ValueError, match="Received: split='dev'"):
        celeba(root, "dev")
    with pytest.raises(
        ValueError, match="Received: root=/nowhere, which is not a folder"
    ):
        celeba("/nowhere")
    with pytest.raises(
        ValueError, match="list_eval_partition.txt or .*Received: root="
    ):
        celeba(tmp_path)
    write_celeba(tmp_path, count=3)
    shutil.rmtree(tmp_path / "irregular_mask")
    with pytest.raises(ValueError, match="irregular_mask.zip"):
        celeba(tmp_path)
    partition = tmp_path / "list_eval_partition.txt"
    partition.write_text("000001.jpg 2\n000009.jpg 2\n")
    with pytest.raises(ValueError, match="2 names, 1 of them missing: 000009.jpg"):
        celeba(tmp_path, "test")
    with pytest.raises(ValueError, match="0 names"):
        celeba(tmp_path, "valid")
    partition.write_text("000001.jpg\n")
    with pytest.raises(ValueError, match="Line 1 of .*Received: '000001.jpg'"):
        celeba(tmp_path, "test")


def test_damaged_image_is_named(tmp_path):
    write_celeba(tmp_path, count=3)
    path = tmp_path / "img_align_celeba" / "000003.jpg"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ImageError, match=r"Image 0 .*truncated.*000003\.jpg"):
        celeba(tmp_path, "test")[0]


def test_mask_without_hole_is_named(tmp_path):
    write_celeba(tmp_path, count=3)
    path = tmp_path / "mask" / "testing_mask_dataset" / "00000.png"
    Image.new("L", (64, 64)).save(path)
    with pytest.raises(ImageError, match="00000.png, with levels from 0 to 0 of 255"):
        celeba(tmp_path, "test")[0]
    hole_mask(64, 0.5).save(path)
    assert celeba(tmp_path, "test")[0]["mask"].mean() == pytest.approx(0.5, abs=0.02)
