"""Compare the speed of this package with the original's: `benchmarks/run.py --help`.

For each task, precision and size, all contestants wait in processes of their own. They
run one after the other, round by round, so that other work on the machine slows all of
them alike. Medians are compared with that of the literal PyTorch rendition. Weights are
random, because the time does not depend on them.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONTESTANTS = ("literal", "tensorflow", "jax", "torch", "torch-compiled")
TASKS = ("inference", "step")
POLICIES = ("float32", "mixed_bfloat16")
COLUMNS = (
    "task",
    "size",
    "precision",
    "contestant",
    "on",
    "median",
    "lowest",
    "highest",
    "speed",
    "first run",
    "peak GB",
    "above the loaded model",
    "GFLOP forward",
)


class Contestant:
    """A process of `benchmarks.contestants` that is built and waits."""

    def __init__(self, name, task, size, batch_size, policy):
        self.name = name
        self.seconds = []
        self.last = {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.contestants"]
            + [name, task, str(size), str(batch_size), policy],
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.setup = self._read_answer()

    def _read_answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(
            f"The contestant {self.name!r} ended with code {self.process.wait()}; its "
            "error is above. `--contestants` selects others."
        )

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.last = self._read_answer()
        self.seconds.append(self.last["seconds"])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(task, size, policy, arguments):
    """Run all contestants in turn and return a table row for each."""
    with contextlib.ExitStack() as stack:
        contestants = []
        for name in arguments.contestants:
            # One after the other, so that none is measured while another compiles.
            contestant = Contestant(name, task, size, arguments.batch_size, policy)
            stack.callback(contestant.close)
            contestants.append(contestant)
        for _ in range(arguments.rounds):
            for contestant in contestants:
                contestant.run()
    medians = {c.name: statistics.median(c.seconds) for c in contestants}
    literal = medians.get("literal")
    return [
        {
            "task": task,
            "size": size,
            "precision": policy,
            "contestant": contestant.name,
            "on": contestant.setup["device"],
            "median": format_seconds(medians[contestant.name]),
            "lowest": format_seconds(min(contestant.seconds)),
            "highest": format_seconds(max(contestant.seconds)),
            "speed": f"{literal / medians[contestant.name]:.2f}" if literal else "",
            "first run": f"{contestant.setup['first']:.1f} s",
            "peak GB": f"{contestant.last['peak']:.2f}",
            "above the loaded model": f"{contestant.last['above']:.2f}",
            "GFLOP forward": f"{contestant.setup['gflop']:.1f}"
            if contestant.setup["gflop"]
            else "",
        }
        for contestant in contestants
    ]


def format_seconds(value):
    return f"{1000 * value:.1f} ms" if value < 1 else f"{value:.2f} s"


def format_table(rows):
    """Return rows as a Markdown table."""
    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    lines += [[str(row[name]) for name in COLUMNS] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def describe_machine():
    """Return the processor and the versions of the packages."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    versions = []
    for package in ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch"):
        with contextlib.suppress(ImportError):
            versions.append(f"{package} {version(package)}")
    return f"{cpu}, {os.cpu_count()} cores; {', '.join(versions)}"


def main():
    parser = argparse.ArgumentParser(
        description="Compare the speed of this package with the original's."
    )
    many = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument(
        "--contestants",
        choices=CONTESTANTS,
        default=CONTESTANTS[:-1],
        help="by default all that need no C++ compiler",
        **many,
    )
    parser.add_argument("--tasks", choices=TASKS, default=TASKS, **many)
    parser.add_argument("--policies", choices=POLICIES, default=POLICIES, **many)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256])
    parser.add_argument(
        "--batch-size",
        type=int,
        default=0,
        help="by default 1 for inference; for a step 2 on a CPU and 6 on a GPU",
    )
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    rows = []
    for task in arguments.tasks:
        for policy in arguments.policies:
            for size in arguments.sizes:
                rows += measure(task, size, policy, arguments)
                print(f"{task}, {policy}, {size}: done", file=sys.stderr, flush=True)
    print(format_table(rows))


if __name__ == "__main__":
    main()
