"""Run all tests on all three backends: `python -m tests.run_all`.

Pytest processes, by default one per CPU, take one test file after the other; see
`tests.work_queue`. Arguments that `--help` does not list are passed to pytest.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests import work_queue
from tests.processes import FAST_COMPILATION

# PyTorch, the fastest to import, runs the tests that touch no backend.
BACKENDS = ("torch", "jax", "tensorflow")
# Threads of several processes on few CPUs would wait for each other.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}
NO_TESTS_COLLECTED = 5


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m tests.run_all", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument(
        "--backend",
        action="append",
        choices=BACKENDS,
        help="run on this backend only; may be repeated",
    )
    parser.add_argument(
        "--slow",
        action="store_true",
        help="run the slow tests instead of the others, one after the other",
    )
    parser.add_argument(
        "--workers",
        type=int,
        help="processes at a time (default: one per CPU, at most 4)",
    )
    parser.add_argument("-m", dest="marks", help="pytest's marker expression")
    options, pytest_options = parser.parse_known_args(arguments)
    options.backends = list(dict.fromkeys(options.backend or BACKENDS))
    options.pytest = pytest_options
    if options.workers is None:
        # Slow tests measure time and memory.
        options.workers = 1 if options.slow else min(os.cpu_count() or 1, 4)
    return options


@dataclass(frozen=True)
class Group:
    """Tests of one backend that run in the same environment."""

    backend: str
    marks: str
    environment: dict
    queue: Path


def make_groups(options, folder):
    """Return the groups of a run, those of the longest tests first."""
    if options.slow:
        groups = [(backend, "slow", {}) for backend in options.backends]
    else:
        quick = {**ONE_THREAD, **FAST_COMPILATION}
        groups = []
        # JAX compiles all of its programs by XLA, the others none or a few.
        if "jax" in options.backends:
            groups.append(("jax", "not slow and optimized", ONE_THREAD))
        for backend in options.backends:
            marks = "not slow" + " and not optimized" * (backend == "jax")
            groups.append((backend, marks, quick))
    result = []
    for i, (backend, marks, environment) in enumerate(groups):
        if backend != options.backends[0]:
            marks += " and not backend_independent"
        if options.marks:
            marks += f" and ({options.marks})"
        queue = Path(folder) / f"queue_{i}"
        queue.mkdir()
        result.append(Group(backend, marks, environment, queue))
    return result


@dataclass
class Worker:
    """A running pytest process and what it writes."""

    group: Group
    process: subprocess.Popen
    output: Path
    reports: Path
    printed: int = 0


class Run:
    """All pytest processes of one run, which share a folder."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = Path(folder)
        self.waiting = make_groups(options, folder)
        self.workers = []
        self.reports = []
        self.failed = set()
        self.started = 0

    def run(self):
        """Run until no file is left; on Ctrl-C end all processes."""
        try:
            while self.waiting or self.workers:
                self.start_workers()
                time.sleep(0.2)
                for worker in list(self.workers):
                    self.follow(worker)
        finally:
            self.end_workers()

    def end_workers(self):
        """Interrupt all processes, which end their fixtures; kill what goes on."""
        for worker in self.workers:
            worker.process.send_signal(signal.SIGINT)
        for worker in self.workers:
            try:
                worker.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(worker.process.pid, signal.SIGKILL)

    def start_workers(self):
        """Start the next group on each free CPU, or help with one that runs."""
        while len(self.workers) < self.options.workers:
            if self.waiting:
                group = self.waiting.pop(0)
            else:
                running = [worker.group for worker in self.workers]
                count_left = {x.queue: work_queue.count_left(x.queue) for x in running}
                group = max(running, key=lambda x: count_left[x.queue], default=None)
                # Importing a backend takes longer than a few small files.
                if group is None or count_left[group.queue] < 3:
                    return
            self.workers.append(self.start(group))

    def start(self, group):
        self.started += 1
        output = self.folder / f"output_{self.started}.txt"
        reports = self.folder / f"reports_{self.started}.jsonl"
        environment = {
            **group.environment,
            **os.environ,
            # What one process compiles is there for the others.
            "PYTHONDONTWRITEBYTECODE": "",
            "KERAS_BACKEND": group.backend,
            work_queue.QUEUE: str(group.queue),
            work_queue.REPORTS: str(reports),
        }
        command = [sys.executable, "-m", "pytest", "-p", "tests.work_queue"]
        command += ["-m", group.marks]
        with output.open("w") as file:
            process = subprocess.Popen(
                [*command, *self.options.pytest],
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches this process alone, which ends the others once.
                start_new_session=True,
            )
        return Worker(group, process, output, reports)

    def follow(self, worker):
        """Print the files that a process has finished and, on failure, its output."""
        code = worker.process.poll()
        for report in work_queue.read_reports(worker.reports)[worker.printed :]:
            worker.printed += 1
            self.reports.append(report)
            print(describe(report), flush=True)
        if code is None:
            return
        self.workers.remove(worker)
        if code in (0, 1) and "-x" not in self.options.pytest:
            if work_queue.count_left(worker.group.queue):
                # It was short of memory.
                self.waiting.insert(0, worker.group)
        if code not in (0, NO_TESTS_COLLECTED):
            backend = worker.group.backend
            self.failed.add(backend)
            print(f"\n=== {backend} ===", worker.output.read_text(), sep="\n")
        elif "--collect-only" in self.options.pytest:
            print(worker.output.read_text())


def join_counts(counts):
    return ", ".join(f"{n} {name}" for name, n in counts.items())


def describe(report):
    seconds, backend = f"{report['seconds']:6.1f} s", f"{report['backend']:<10}"
    return f"{seconds}  {backend}  {report['file']}: {join_counts(report['counts'])}"


def summarize(run, seconds):
    """Print what ran on each backend; the last line is one that CI systems read."""
    print(f"\n=== {seconds:.0f} s ===")
    total = Counter()
    for backend in run.options.backends:
        reports = [report for report in run.reports if report["backend"] == backend]
        counts = Counter()
        for report in reports:
            counts.update(report["counts"])
        total += counts
        work = sum(report["seconds"] for report in reports)
        result = "FAILED" if backend in run.failed else "ok"
        print(f"{backend}: {result}, {join_counts(counts)}, {work:.0f} s of work")
    for report in run.reports:
        for test in report["failed"]:
            print(f"FAILED on {report['backend']}: {test}")
    errors = total["failed"] + total["error"]
    print(f"{total['passed']} passed, {errors} failed, {total['skipped']} skipped")
    return total


def main(arguments):
    options = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="keras_ctsdg_tests_") as folder:
        # What JAX compiles for one test is there for the others, in any process.
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{folder}/jax_cache")
        run = Run(options, folder)
        try:
            run.run()
        except KeyboardInterrupt:
            print("\nInterrupted.")
            return 130
        total = summarize(run, time.monotonic() - start)
    if not run.failed and not total and "--collect-only" not in options.pytest:
        return NO_TESTS_COLLECTED
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
