import errno
import os
import zipfile

import pytest

from keras_ctsdg.training import checkpoint_files
from keras_ctsdg.training.checkpoint_files import (
    FILES,
    MANIFEST,
    MODEL,
    STATE,
    Position,
    find_checkpoints,
    prune_checkpoints,
    read_checkpoint,
    remove_partial_checkpoints,
    write_checkpoint,
)
from keras_ctsdg.training.checkpoint_loading import find_newest
from keras_ctsdg.training.checkpoint_options import (
    START_OF_FINE_TUNING,
    describe_changes,
    find_changes,
)
from keras_ctsdg.training.saving import remove_partial_files

pytestmark = pytest.mark.backend_independent


def write_model(path):
    """Write an archive, as a `.keras` file is one."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", bytes(range(256)) * 8)


def write(folder, epoch, step=0, save_model=write_model):
    state = {"metrics": [[1.5, 2.0]]}
    manifest = {"step": 10 * epoch + step, "options": {"--seed": 1}}
    return write_checkpoint(folder, Position(epoch, step), save_model, state, manifest)


def read_all(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# === Damage ===


def flip(content):
    middle = len(content) // 2
    flipped = bytes(255 - x for x in content[middle - 32 : middle + 32])
    return content[: middle - 32] + flipped + content[middle + 32 :]


DAMAGES = {
    "emptied": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "cut": lambda content: content[:-2],
    "flipped": flip,
    "zeroed": lambda content: content[:64] + bytes(64) + content[128:],
    "zeroed whole": lambda content: bytes(len(content)),
    "longer": lambda content: content + b"\0",
    "removed": None,
}


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(tmp_path, name, damage):
    whole, newest = write(tmp_path, 1), write(tmp_path, 1, 5)
    path = newest / name
    if DAMAGES[damage] is None:
        path.unlink()
    else:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.warns(UserWarning, match=f"is passed over: {name}") as warned:
        found, passed_over = find_newest(tmp_path)
    assert len(warned) == 1
    assert "\n" not in str(warned[0].message)
    assert (found.path, passed_over) == (whole, [newest])
    assert found.manifest["step"] == 10
    assert found.state == {"metrics": [[1.5, 2.0]]}


def test_damaged_checkpoints_alone_are_not_taken_for_none(tmp_path):
    assert find_newest(tmp_path / "none") == (None, [])
    (write(tmp_path, 1) / MODEL).write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="passed over"),
        pytest.raises(ValueError, match="Remove it.*Received: folder=.*1 damaged"),
    ):
        find_newest(tmp_path)


# === Writing ===


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    path = write(tmp_path, 3, 7)
    manifest, state = read_checkpoint(path)
    assert path.name == "epoch_0003_step_000007"
    assert manifest["options"] == {"--seed": 1}
    assert set(manifest["files"]) == {MODEL, STATE}
    assert state == {"metrics": [[1.5, 2.0]]}
    # What is damaged may be written again.
    (path / STATE).write_text("{")
    assert read_checkpoint(write(tmp_path, 3, 7))[1] == state


def fail_after(count, function):
    """Return a function that fails as on a full disk after a number of calls."""

    def call(*args, **kwargs):
        nonlocal count
        if count == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count -= 1
        return function(*args, **kwargs)

    return call


@pytest.mark.parametrize("name, calls", [("mkdir", 2), ("rename", 1), ("fsync", 5)])
def test_a_full_disk_leaves_the_last_good_checkpoint(
    tmp_path, monkeypatch, name, calls
):
    write(tmp_path, 1)
    before, failures = read_all(tmp_path), 0
    for count in range(calls + 1):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail_after(count, getattr(os, name)))
            try:
                write(tmp_path, 2)
                break
            except OSError as error:
                failures += 1
                assert error.errno == errno.ENOSPC
                assert "No space left on device" in str(error)
                assert "epoch_0002_step_000000" in str(error)
        assert read_all(tmp_path).items() >= before.items()
        assert not list(tmp_path.glob(".*"))
        # The last `fsync` comes after the name: the new one is whole, too.
        assert len(find_checkpoints(tmp_path)) == 1 + (count == 4)
        find_newest(tmp_path)
    assert failures == calls
    assert find_newest(tmp_path)[0].position == Position(2, 0)


def save_on_full_disk(path):
    """Fail as h5py does, whose error hides that of the disk."""
    try:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError:
        raise RuntimeError("Can't decrement id ref count") from None


def save_badly(path):
    write_model(path)
    path.write_bytes(DAMAGES["flipped"](path.read_bytes()))


@pytest.mark.parametrize("save_model", [save_on_full_disk, save_badly])
def test_what_is_not_written_well_is_no_checkpoint(tmp_path, save_model):
    with pytest.raises(OSError, match=r"could not be written.*epoch_0002") as raised:
        write(tmp_path, 2, save_model=save_model)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_other_errors_are_not_hidden(tmp_path):
    def fail(path):
        raise ValueError("All weights must be finite to be saved")

    with pytest.raises(ValueError, match="must be finite"):
        write(tmp_path, 2, save_model=fail)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_began_is_removed(tmp_path, monkeypatch):
    whole = write(tmp_path, 1)
    # A killed process runs no `finally`.
    monkeypatch.setattr(checkpoint_files.shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(OSError):
        write(tmp_path, 2, save_model=save_on_full_disk)
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 2
    assert [path for _, path in find_checkpoints(tmp_path)] == [whole]
    remove_partial_checkpoints(tmp_path)
    assert list(tmp_path.iterdir()) == [whole]


def test_partial_models_are_removed(tmp_path):
    names = ("model.keras", ".hidden.keras", f".{os.getppid()}.model.keras")
    # No process has the number 0 or one beyond the greatest.
    killed = (f".{2**22 + 1}.model.keras", f".{os.getpid()}.best.keras")
    for name in (*names, *killed):
        (tmp_path / name).touch()
    remove_partial_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_the_newest_and_the_best_are_kept(tmp_path):
    (tmp_path / "notes").mkdir()
    for epoch in range(1, 4):
        for step in (0, 10):
            write(tmp_path, epoch, step)
    prune_checkpoints(tmp_path, 3, {"epoch_0001_step_000010"})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "epoch_0001_step_000010",
        "epoch_0002_step_000010",
        "epoch_0003_step_000000",
        "epoch_0003_step_000010",
        "notes",
    ]


# === Options ===


def test_changed_options_are_named():
    old = {"--seed": 0, "dataset.seed": 0, "--filters": 64, "gone": 1}
    new = {"--seed": 1, "dataset.seed": 1, "--filters": 64, "new": 2}
    changes = find_changes(old, new, epoch=0)
    assert changes == {"--seed": (0, 1), "dataset.seed": (0, 1)}
    assert describe_changes(changes) == "--seed was 0 and is 1"
    assert describe_changes({"sigma": (1, 2)}) == "sigma was 1 and is 2"


@pytest.mark.parametrize(
    "old, new, epoch, differs",
    [
        (5, 7, 3, False),
        (5, 7, 4, False),
        (5, 7, 5, True),
        (5, 3, 4, True),
        (5, 5, 9, False),
    ],
)
def test_the_stage_border_may_move_before_it_is_reached(old, new, epoch, differs):
    changes = find_changes(
        {START_OF_FINE_TUNING: old}, {START_OF_FINE_TUNING: new}, epoch
    )
    assert bool(changes) == differs
