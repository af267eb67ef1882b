"""The code on the pages of the documentation and in the README runs."""

import functools
import re
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

import keras_ctsdg
from keras_ctsdg.checkpoints.name_maps import discriminator_names, generator_names
from keras_ctsdg.models import Discriminator, Generator
from tests.checkpoint_writers import random_source_state, write_torch
from tests.data.common import write_celeba
from tests.test_docs import PAGES, ROOT

pytestmark = pytest.mark.backend_independent

BLOCK = re.compile(
    r"(?:^ *<!-- (?P<comment>[^\n]*) -->\n)?"
    r"^(?P<indent> *)```(?P<language>python|bash)\n(?P<code>.*?)^(?P=indent)```$",
    re.M | re.S,
)
# The two commands of the README run in a clean clone, and the server runs the second.
NOT_RUN = ("not run: ", "run command", "test command")
# What makes a command of the paper's size one of seconds. The last option counts.
TINY = {
    "evaluate": "--image-size 128 --batch-size 2",
    "quickstart": "--epochs 1",
    "train": "--image-size 128 --batch-size 2 --steps 1 --fine-tuning-steps 1"
    " --steps-per-epoch 1 --vgg none --workers 1 --overwrite",
}


def blocks(page):
    """Return the blocks of a page that run: comment, language and code of each."""
    return [
        (found["comment"], found["language"], found["code"])
        for found in BLOCK.finditer(page.read_text())
        if not (found["comment"] or "").startswith(NOT_RUN)
    ]


def commands(code):
    """Return the commands of a block, without those that install packages."""
    lines = [line.strip() for line in code.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("pip install ")]


PAGES = [page for page in PAGES if blocks(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_block_can_run(page):
    text = page.read_text()
    assert len(BLOCK.findall(text)) == len(
        re.findall(r"^ *```(?:python|bash)$", text, re.M)
    )
    for _, language, code in blocks(page):
        if language == "python":
            compile(code, page.name, "exec")
        else:
            for line in commands(code):
                assert line.startswith("keras-ctsdg "), f"mark what cannot run: {line}"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with every file that the pages name, all of them tiny."""
    root = tmp_path_factory.mktemp("docs")
    rng = np.random.default_rng(0)

    def write(path, size=(140, 132)):
        path.parent.mkdir(parents=True, exist_ok=True)
        mask = np.zeros(size, "uint8")
        mask[50:80, 40:90] = 255
        small = rng.integers(0, 256, (6, 6, 3), "uint8")
        is_mask = "mask" in path.as_posix().removeprefix(root.as_posix())
        image = Image.fromarray(mask if is_mask else small).resize(size[::-1])
        image.save(path)

    for name in "abc":
        for folder in ("images", "photos", "validation", "masks"):
            write(root / folder / f"{name}.png")
    write(root / "photo.jpg")
    write(root / "mask.png")
    Image.eval(Image.open(root / "mask.png"), lambda x: 255 - x).save(
        root / "inverted_mask.png"
    )
    shutil.make_archive(str(root / "masks"), "zip", root / "masks")
    (root / "celeba").mkdir()
    write_celeba(root / "celeba")
    model = keras_ctsdg.CTSDG(Generator(filters=4), Discriminator(filters=4))
    (root / "trained").mkdir()
    model.compile()
    model.save(root / "trained" / "model.keras")
    write_torch(
        root / "CelebA.pt",
        n_iter=1,
        generator=small_state(model.generator, generator_names()),
        discriminator=small_state(model.discriminator, discriminator_names()),
    )
    return root


def small_state(network, names):
    """Return weights with which a network computes finite numbers."""
    state = random_source_state(network, names)
    return {
        name: abs(value) + 1 if name.endswith("running_var") else value / 50
        for name, value in state.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_code_runs(page, files, tmp_path, command, monkeypatch):
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_CTSDG_HOME", str(tmp_path / "home"))
    # Networks of the default width would take minutes, and VGG16 a download.
    networks = {"Generator": Generator, "Discriminator": Discriminator}
    for name, network in networks.items():
        small = functools.partial(network, filters=4)
        monkeypatch.setattr(keras_ctsdg.models, name, small)
    monkeypatch.setattr(keras_ctsdg.models, "VGG16Features", lambda: None)
    names = {}
    if page == ROOT / "README.md":
        names["dataset"] = keras_ctsdg.data.InpaintingDataset("images", None, 2, 128)
    for comment, language, code in blocks(page):
        if language == "python":
            exec(compile(code, page.name, "exec"), names)
            continue
        for line in commands(code):
            _, name, *words = shlex.split(line)
            options = shlex.split(TINY.get(name, ""))
            if name == "train" and "--from" not in words:
                options += ["--filters", "4"]
            status, out, err = command(name, *words, *options)
            assert status == (comment == "refused"), f"{line}\n{out}\n{err}"
