"""The photographs of `examples/train_demo_preset.py`, and their licenses."""

import hashlib
import struct
import zlib

import keras
import numpy as np
import pytest

from examples.demo_preset import photographs
from examples.demo_preset.copyright_files import (
    ALLOWED,
    find_paragraph,
    read_paragraphs,
)
from examples.demo_preset.qt_resources import read_qt_resources

COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2020 A Programmer
License: GPL-3+

Files: images/*
 sounds/*
Copyright: 2021 A Photographer
           2022 Another
License: CC-BY-4.0
Comment: https://example.org/images

Files: images/Air?Balloon.jpg
Copyright: none
License: CC0-1.0
 The text of the license.

License: GPL-3+
 Files: this is no field.
"""


@pytest.mark.backend_independent
class TestPhotographs:
    def test_list_has_allowed_licenses_only(self):
        photos, packages = photographs.read_list()
        assert len({(x["package"], x["path"]) for x in photos}) == len(photos) == 170
        assert {x["package"] for x in photos} == set(packages)
        assert {x["license"] for x in photos} <= set(ALLOWED)
        assert not any("GPL" in x for x in ALLOWED)
        for photo in photos:
            assert photo["path"].startswith(packages[photo["package"]]["installed"])

    def test_split_is_disjoint_and_keeps_series_together(self):
        photos, _ = photographs.read_list()
        parts = photographs.split(photos)
        names = {part: {x["path"] for x in members} for part, members in parts.items()}
        assert sum(map(len, names.values())) == len(photos)
        assert len(set.union(*names.values())) == len(photos)
        assert len(parts["test"]) >= 25
        series = [{x["series"] for x in members} for members in parts.values()]
        assert len(set.union(*series)) == sum(map(len, series))

    def test_split_is_that_of_the_shipped_preset(self):
        # With another split the preset would be tested on what it was trained on.
        parts = photographs.split(photographs.read_list()[0])
        names = "\n".join(sorted(x["path"] for x in parts["test"]))
        assert hashlib.sha256(names.encode()).hexdigest()[:16] == "5fde90bb72bd78fe"
        assert photographs.split(photographs.read_list()[0], seed=1) != parts

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("source/main.c", "GPL-3+"),
            ("images/deep/cat.png", "CC-BY-4.0"),
            ("images/Air Balloon.webp", "CC0-1.0"),
        ],
    )
    def test_last_paragraph_applies(self, path, expected):
        paragraphs = read_paragraphs(COPYRIGHT)
        assert len(paragraphs) == 3
        assert find_paragraph(paragraphs, path)["license"] == expected

    def test_paragraph_of_several_lines(self):
        paragraph = find_paragraph(read_paragraphs(COPYRIGHT), "sounds/a.jpg")
        assert paragraph["copyright"] == "2021 A Photographer 2022 Another"
        assert paragraph["comment"] == "https://example.org/images"
        assert find_paragraph([], "sounds/a.jpg") is None

    def test_other_licenses_are_refused(self, tmp_path):
        file = tmp_path / "unpacked/game/usr/share/doc/game/copyright"
        file.parent.mkdir(parents=True)
        file.write_text(COPYRIGHT)
        package = {"installed": "usr/share/game/", "source": ""}
        photo = {"package": "game", "path": "usr/share/game/images/a.jpg"}
        record = photographs.read_license(photo, package, tmp_path)
        assert record["license"] == "CC-BY-4.0"
        photo["path"] = "usr/share/game/other/a.jpg"
        with pytest.raises(ValueError, match=r"Received: other/a.jpg of game, GPL"):
            photographs.read_license(photo, package, tmp_path)

    def test_large_photographs_are_prepared_in_parts(self, tmp_path):
        folder = tmp_path / "unpacked/game"
        folder.mkdir(parents=True)
        image = np.zeros((1300, 2000, 3), "uint8")
        keras.utils.save_img(folder / "a.png", image, scale=False)
        photo = {"package": "game", "path": "a.png", "width": 2000, "height": 1300}
        paths = photographs.prepare(photo, tmp_path)
        sizes = [keras.utils.load_img(path).size for path in paths]
        assert sizes == [(1024, 666), *[(640, 640)] * 4]
        (folder / "a.png").unlink()
        assert photographs.prepare(photo, tmp_path) == paths


@pytest.mark.backend_independent
class TestQtResources:
    def test_read(self):
        archive = build_archive({"a.txt": b"plain", "b.txt": b"packed" * 20}, "images")
        files = read_qt_resources(archive)
        assert {name: read() for name, read in files.items()} == {
            "images/a.txt": b"plain",
            "images/b.txt": b"packed" * 20,
        }

    def test_other_data_is_refused(self):
        with pytest.raises(
            ValueError, match=r"must start with b'qres'\. Received: b'P"
        ):
            read_qt_resources(b"PK\3\4")


def build_archive(files, folder):
    """Return a resource archive of version 2 with a folder; the last file is packed."""
    names, content, nodes = b"", b"", b""

    def add_name(name):
        nonlocal names
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
        return len(names) - 6 - 2 * len(name)

    # The root, which has no name of its own, and the folder.
    nodes += struct.pack(">IHIIQ", 0, 2, 1, 1, 0)
    nodes += struct.pack(">IHIIQ", add_name(folder), 2, len(files), 2, 0)
    for index, (name, payload) in enumerate(files.items()):
        packed = index == len(files) - 1
        if packed:
            payload = struct.pack(">I", len(payload)) + zlib.compress(payload)
        fields = (add_name(name), packed, 0, 1, len(content), 0)
        nodes += struct.pack(">IHHHIQ", *fields)
        content += struct.pack(">I", len(payload)) + payload
    start = 20
    header = (2, start, start + len(nodes), start + len(nodes) + len(content))
    return b"qres" + struct.pack(">IIII", *header) + nodes + content + names
