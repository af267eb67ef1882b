"""Times this package against the original: `python benchmarks/run.py --help`.

For each task, precision and size all contestants stand ready in processes of their own
and run one after the other, round by round, so that what disturbs the machine disturbs
all alike. Medians are compared with the literal PyTorch rendition's. Random weights:
the time does not depend on them.
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
CONTESTANTS = ("literal", "tensorflow", "jax", "torch")
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
    "of literal's speed",
    "first run",
    "peak GB",
    "above the loaded model",
    "GFLOP forward",
)


class Contestant:
    """A process that waits for its turn."""

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
        self.hello = self._answer()

    def _answer(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(
            f"The contestant {self.name!r} ended with code {self.process.wait()}: see "
            "above. Leave it out with `--contestants`."
        )

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.last = self._answer()
        self.seconds.append(self.last["seconds"])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(task, size, policy, arguments):
    """One row a contestant."""
    with contextlib.ExitStack() as stack:
        contestants = []
        for name in arguments.contestants:
            # One after the other: compiling must not crowd out what is measured.
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
            "on": contestant.hello["device"],
            "median": seconds(medians[contestant.name]),
            "lowest": seconds(min(contestant.seconds)),
            "highest": seconds(max(contestant.seconds)),
            "of literal's speed": f"{literal / medians[contestant.name]:.2f}"
            if literal
            else "",
            "first run": f"{contestant.hello['first']:.1f} s",
            "peak GB": f"{contestant.last['peak']:.2f}",
            "above the loaded model": f"{contestant.last['above']:.2f}",
            "GFLOP forward": f"{contestant.hello['gflop']:.1f}"
            if contestant.hello["gflop"]
            else "",
        }
        for contestant in contestants
    ]


def seconds(value):
    return f"{1000 * value:.1f} ms" if value < 1 else f"{value:.2f} s"


def table(rows):
    """Markdown."""
    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    lines += [[str(row[name]) for name in COLUMNS] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine():
    """What the numbers are from."""
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    many = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument(
        "--contestants", choices=CONTESTANTS, default=CONTESTANTS, **many
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
    print(machine(), flush=True)
    rows = []
    for task in arguments.tasks:
        for policy in arguments.policies:
            for size in arguments.sizes:
                rows += measure(task, size, policy, arguments)
                print(f"{task}, {policy}, {size}: done", file=sys.stderr, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
