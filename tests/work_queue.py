"""Pytest plugin of `tests.run_all`: processes share the test files of one backend.

Each process collects the files that hold a chosen test and claims one after the other
by creating a file of that name in a common folder.
"""

import gc
import json
import os
import re
import resource
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

QUEUE, REPORTS = "KERAS_CTSDG_TEST_QUEUE", "KERAS_CTSDG_TEST_REPORTS"
COLLECTED = "collected.json"
MARKS_OF_FILE = re.compile(r"^pytestmark = (\[.*?^\]|[^\n]*)", re.MULTILINE | re.DOTALL)
CHOSEN_MARK = re.compile(r"(not )?\b(backend_independent|optimized|slow)\b")
# JAX keeps all that it compiled. From this size on, a new process goes on.
MAX_KILOBYTES = 7_000_000
# The longest come first, so that no process is left with one at the end.
LONG = (
    "tests/test_golden_training.py",
    "tests/test_golden_",
    "tests/cli/test_inpaint.py",
    "tests/test_ctsdg.py",
    "tests/demo/test_browser.py",
    "tests/training/",
    "tests/test_generations.py",
    "tests/models/",
    "tests/layers/test_canny.py",
    "tests/presets/",
    "tests/test_benchmarks.py",
    "tests/test_evaluation.py",
)

_results = []


def pytest_ignore_collect(collection_path, config):
    """Leave out files that hold no chosen test: importing them takes time."""
    if not collection_path.match("test_*.py"):
        return None
    text = collection_path.read_text()
    found = MARKS_OF_FILE.search(text)
    marks_of_file = found[0] if found else ""
    # What `-m` of `tests.run_all` adds stands in parentheses, and may say anything.
    chosen = config.option.markexpr.split(" and (")[0]
    for excluded, name in CHOSEN_MARK.findall(chosen):
        if name in marks_of_file if excluded else name not in text:
            return True
    return None


def file_of(item):
    return item.nodeid.split("::")[0]


def claim(queue, file):
    """Return whether this process is the first to claim a file."""
    try:
        (queue / file.replace("/", ".")).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def count_left(queue):
    """Return how many files of a queue nobody has claimed: 0 before collection."""
    try:
        files = json.loads((queue / COLLECTED).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return 0
    return sum(not (queue / file.replace("/", ".")).exists() for file in files)


def read_reports(path):
    """Return the reports of the files that a process has finished."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def order(file):
    """Return the sorting key of a file."""
    ranks = [i for i, start in enumerate(LONG) if file.startswith(start)]
    return min(ranks, default=len(LONG)), file


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """Run the files that this process claims. Takes the place of pytest's own loop."""
    if session.config.option.collectonly or session.testsfailed:
        return None
    start = time.monotonic()
    items = claimed_items(session.items)
    item = next(items, None)
    while item:
        # Pytest keeps the fixtures that the next item needs, of the session above all.
        following = next(items, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if following is None or file_of(following) != file_of(item):
            write_report(file_of(item), time.monotonic() - start)
            start = time.monotonic()
            # What is left, such as JAX's and TensorFlow's caches, is there to stay. To
            # look through it again and again makes tracing slow.
            gc.collect()
            gc.freeze()
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


def claimed_items(items):
    """Yield the items of one file after the other, until memory runs short."""
    queue = Path(os.environ[QUEUE])
    files = defaultdict(list)
    for item in items:
        files[file_of(item)].append(item)
    names = sorted(files, key=order)
    (queue / COLLECTED).write_text(json.dumps(names))
    for name in names:
        if claim(queue, name):
            yield from files[name]
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MAX_KILOBYTES:
                return


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        _results.append(report)


def write_report(name, seconds):
    """Append the report of a file, one line of JSON."""
    counts, failed = Counter(), []
    for result in _results:
        outcome = result.outcome
        if outcome == "failed":
            failed.append(result.nodeid)
            outcome = "failed" if result.when == "call" else "error"
        counts[outcome] += 1
    _results.clear()
    report = {
        "backend": os.environ["KERAS_BACKEND"],
        "file": name,
        "seconds": round(seconds, 2),
        "counts": counts,
        "failed": failed,
    }
    with open(os.environ[REPORTS], "a") as file:
        file.write(json.dumps(report) + "\n")
