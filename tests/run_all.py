"""Runs all tests on all three backends: `python -m tests.run_all [pytest options]`."""

import os
import subprocess
import sys
import tempfile

BACKENDS = ("tensorflow", "jax", "torch")
# For small networks XLA compiles far longer than it runs.
QUICK = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
# Threads of three processes on few cores would wait for each other.
TOGETHER = {**QUICK, "OMP_NUM_THREADS": "1"}


def start(backend, options, flags, output=None):
    """Starts pytest on one backend."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *options],
        env={**os.environ, **flags, "KERAS_BACKEND": backend},
        stdout=output,
        stderr=output and subprocess.STDOUT,
    )


def run_together(options):
    """All backends at once, which mostly trace and compile on one core each."""
    runs = []
    for backend in BACKENDS:
        output = tempfile.TemporaryFile("w+")
        runs.append((backend, output, start(backend, options, TOGETHER, output)))
    failed = []
    for backend, output, process in runs:
        if process.wait():
            failed.append(backend)
        output.seek(0)
        print(f"=== {backend}: small ===\n{output.read()}", flush=True)
    return failed


def run_in_turn(options):
    """One backend after the other, as full-width networks and timings need it."""
    failed = []
    for backend in BACKENDS:
        print(f"=== {backend}: {' '.join(options)} ===", flush=True)
        if start(backend, options, {}).wait():
            failed.append(backend)
    return failed


def main(options):
    with tempfile.TemporaryDirectory(prefix="keras_ctsdg_jax_") as cache:
        # What JAX compiles for one test is there for the others, in any process.
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", cache)
        return run(options)


def run(options):
    if "-m" in options:  # Whoever selects by marker gets that, one run a backend.
        failed = run_in_turn(options)
    else:
        failed = run_together(["-m", "not large", *options])
        failed += run_in_turn(["-m", "large", *options])
    return f"Failed on: {', '.join(failed)}" if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
