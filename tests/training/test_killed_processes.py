"""Trainings of two processes that are killed, or of which one is told to stop."""

import signal
import time

import pytest

from tests.data.common import write_celeba
from tests.processes import finish, finish_all, start_command
from tests.training.several_devices import BACKEND, two_environments
from tests.training.test_killed_trainings import (
    SCHEDULE,
    SMALL,
    assert_same_training,
    read_step,
)

pytestmark = pytest.mark.slow


def start_both(root, out):
    arguments = ("train", "--celeba", root, "--out", out, *SMALL, *SCHEDULE)
    if BACKEND != "torch":  # There `torchrun` says it by its variables.
        arguments += ("--distribute",)
    return [
        start_command(*arguments, KERAS_BACKEND=BACKEND, **environment)
        for environment in two_environments(BACKEND)
    ]


def wait_for_step(out, step, processes):
    limit = time.monotonic() + 600
    while read_step(out) < step:
        assert time.monotonic() < limit
        for process in processes:
            assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)


def test_two_processes_resume_together(tmp_path):
    root, out = write_celeba(tmp_path / "celeba"), tmp_path / "out"
    finish_all(start_both(root, tmp_path / "expected"))

    processes = start_both(root, out)
    wait_for_step(out, 2, processes)
    for process in processes:
        process.kill()
        process.communicate()

    processes = start_both(root, out)
    wait_for_step(out, 4, processes)
    # The first process must not be left waiting for this one, and write a checkpoint.
    processes[1].send_signal(signal.SIGTERM)
    results = [finish(process) for process in processes]
    for (code, _, stderr), number in zip(results, (2, signal.SIGTERM), strict=True):
        assert code == 128 + number, stderr
        assert "Traceback" not in stderr
    assert "Run the same command again to continue from there" in results[0][2]
    assert read_step(out) > 4

    finish_all(start_both(root, out))
    assert_same_training(out, tmp_path / "expected")
