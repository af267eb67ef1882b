"""Ray Data, for real: a cluster of two workers that is started by the command."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import keras
import pytest
from PIL import Image

import keras_ctsdg
from keras_ctsdg.models import Generator
from tests.data.common import hole_mask, photo
from tests.processes import finish, start_command

RAY = ("--ray", "local", "--ray-workers", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, one damaged and one without a mask, masks, one damaged, and a model."""
    folder = tmp_path_factory.mktemp("ray")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for i in range(14):
        image = photo((150, 140), (20 * i, 10 * i))
        image.save(folder / "images" / f"{i:02d}.jpg", quality=95)
        mask = hole_mask(128, (0.1, 0.3, 0.5, 0.7)[i % 4]).resize((150, 140))
        mask.save(folder / "masks" / f"{i:02d}.png")
    (folder / "images" / "05.jpg").write_text("not an image")
    (folder / "masks" / "08.png").write_text("not a mask")
    (folder / "masks" / "11.png").unlink()
    keras.utils.set_random_seed(1)
    keras_ctsdg.CTSDG(Generator(filters=8)).save(folder / "model.keras")
    return folder


def inpaint(folder, out, *more, remote=False):
    paths = folder / "images", folder / "masks", folder / out
    images, masks, out = (path.as_uri() if remote else path for path in paths)
    arguments = ("--images", images, "--masks", masks, "--out", out, "--json")
    return ("inpaint", folder / "model.keras", *arguments, *more)


def evaluate(folder, out, *more):
    return (
        *("evaluate", folder / "model.keras", "--out", folder / out),
        *("--images", folder / "images", "--masks", folder / "masks"),
        *("--image-size", 128, "--batch-size", 2, "--on-error", "skip", *more),
    )


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def workers_of(process):
    """Return the process ids of Ray's workers that a process has started."""
    parents, workers = {}, []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status = (path / "stat").read_text().rpartition(")")[2].split()
            title = (path / "cmdline").read_text()
        except OSError:
            continue
        parents[int(path.name)] = int(status[1])
        if title.startswith("ray::") and "Worker" in title:
            workers.append(int(path.name))
    found = []
    for worker in workers:
        ancestor = worker
        while ancestor not in (0, process.pid):
            ancestor = parents.get(ancestor, 0)
        if ancestor == process.pid:
            found.append(worker)
    return found


def wait_for_files(out, count, process):
    limit = time.monotonic() + 400
    while len(list(out.glob("*.jpg"))) < count and process.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ray_gives_what_one_process_gives_though_a_worker_is_killed(command, folder):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    code, stdout, stderr = command(*inpaint(folder, "alone"))
    assert code == 1, stderr
    expected = json.loads(stdout)
    assert [len(x) for x in expected.values()] == [11, 0, 0, 3, 0, 0]
    process = start_command(*inpaint(folder, "filled", *RAY))
    wait_for_files(folder / "filled", 3, process)
    workers = workers_of(process)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    code, stdout, stderr = finish(process)
    assert code == 1, stderr
    assert "Traceback" not in stderr
    report = json.loads(stdout)
    assert report == expected
    assert list(map(list, report.values())) == list(map(list, expected.values()))
    # The killed worker may leave one partial file.
    found = {x: y for x, y in contents(folder / "filled").items() if x[0] != "."}
    assert found == contents(folder / "alone")
    assert_end(workers)

    # Remote storage, and results that exist.
    code, stdout, stderr = command(*inpaint(folder, "filled", *RAY, remote=True))
    assert (code, stderr.strip()) == (1, "")
    report = json.loads(stdout)
    assert len(report["skipped"]) == 11
    for path in sorted((folder / "filled").glob("*.jpg"))[::2]:
        path.unlink()
    code, stdout, _ = command(*inpaint(folder, "filled", *RAY, remote=True))
    report = json.loads(stdout)
    assert (code, len(report["filled"]), len(report["skipped"])) == (1, 6, 5)
    reasons = [x.replace("file://", "") for x in report["failed"].values()]
    assert reasons == list(expected["failed"].values())
    found = {x: y for x, y in contents(folder / "filled").items() if x[0] != "."}
    assert found == contents(folder / "alone")


def is_running(process_id):
    try:
        state = Path("/proc", str(process_id), "stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def assert_end(workers):
    """Assert that workers end, for which Ray needs a moment after the command."""
    limit = time.monotonic() + 20
    while any(map(is_running, workers)) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not any(map(is_running, workers))


@pytest.mark.slow
def test_ray_and_shards_give_the_table_of_one_process(command, folder):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    code, _, stderr = command(*evaluate(folder, "scores"))
    assert code == 0, stderr
    expected = contents(folder / "scores")
    assert len(json.loads(expected["evaluation.json"])["skipped"]) == 2
    code, _, stderr = command(*evaluate(folder, "scores_ray", *RAY))
    assert code == 0, stderr
    assert stderr.count("Warning: Skipped") == len(stderr.splitlines()) == 2
    assert contents(folder / "scores_ray") == expected
    # An array of jobs, of which the second has a cluster.
    for k, more in ((3, ()), (2, RAY), (1, ())):
        arguments = evaluate(folder, "scores_shards", "--shard", f"{k}/3", *more)
        code, _, stderr = command(*arguments)
        assert code == 0, stderr
    code, _, stderr = command(*evaluate(folder, "scores_shards", "--join"))
    assert code == 0, stderr
    found = contents(folder / "scores_shards")
    assert {x: y for x, y in found.items() if not x.startswith("shard")} == expected
    code, _, stderr = command(*evaluate(folder, "e", "--on-error", "raise", *RAY))
    assert code == 1
    assert stderr.startswith("Error: Image 5 of `images` cannot be read")
    assert len(stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_interrupt_ends_the_workers(folder):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    process = start_command(*inpaint(folder, "interrupted", *RAY))
    wait_for_files(folder / "interrupted", 1, process)
    workers = workers_of(process)
    process.send_signal(signal.SIGINT)
    code, _, stderr = finish(process)
    assert code == 130
    assert "Run the same command again to continue" in stderr
    assert "Traceback" not in stderr
    assert_end(workers)
    for path in (folder / "interrupted").glob("*.jpg"):
        Image.open(path).load()


def make_fragile(folder):
    """Return what a worker does with numbers; it dies of 3, and once of 5."""

    def process(items):
        for i, item in enumerate(items):
            flag = Path(folder, f"died_of_{item}")
            if item == 3 or (item == 5 and not flag.exists()):
                flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield i, ValueError("a result") if item == 7 else 10 * item

    return process


def make_broken(message):
    raise KeyError(message)


@pytest.mark.slow
@pytest.mark.backend_independent
def test_items_at_which_workers_die(tmp_path):
    pytest.importorskip("ray", reason="needs the extra `ray`")
    from keras_ctsdg.cluster.ray_data import WorkerDiedError, connect

    with connect("local", 2) as cluster:
        found = dict(cluster.run(range(40), make_fragile, str(tmp_path)))
        assert isinstance(found.pop(3), WorkerDiedError)
        assert isinstance(found.pop(7), ValueError)
        assert found == {i: 10 * i for i in range(40) if i not in (3, 7)}
        assert dict(cluster.run([], make_fragile, str(tmp_path))) == {}
        with pytest.raises(KeyError, match="a bug"):
            list(cluster.run([1], make_broken, "a bug"))
        with pytest.raises(ValueError, match="sent to workers.*Received: "):
            list(cluster.run([1], make_broken, lambda: "no function of a module"))


@pytest.mark.backend_independent
def test_ray_that_is_missing_or_not_meant(command, tmp_path, monkeypatch):
    photo((40, 30)).save(tmp_path / "a.png")
    hole_mask(32, 0.5).resize((40, 30)).save(tmp_path / "mask.png")
    monkeypatch.setitem(sys.modules, "ray", None)
    one = ("--image", tmp_path / "a.png", "--mask", tmp_path / "mask.png")
    one += ("--out", tmp_path / "out.png")
    many = ("--images", tmp_path / "a.png", "--out", tmp_path / "scores")
    missing = 'needs Ray: pip install "keras-ctsdg[ray]". Received: --ray auto'
    for name, arguments, message in (
        ("inpaint", (*one, "--ray", "auto"), missing),
        ("inpaint", (*one, "--ray-workers", 2), "needs --ray. Received: --ray-workers"),
        ("inpaint", (*one, "--shard", "3/2"), "1 <= K <= N. Received: --shard 3/2"),
        ("evaluate", (*many, "--shard", "0/2"), "1 <= K <= N. Received: --shard 0/2"),
        ("evaluate", (*many, "--join", "--shard", "1/2"), "--join measures nothing"),
    ):
        # The model that does not exist is not looked for.
        code, _, stderr = command(name, "no.keras", *arguments)
        assert (code, len(stderr.splitlines())) == (1, 1)
        assert message in stderr
