"""Runs all tests on all three backends: `python -m tests.run_all [pytest options]`."""

import os
import subprocess
import sys

BACKENDS = ("tensorflow", "jax", "torch")
# For small networks XLA compiles far longer than it runs.
QUICK = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}


def main(options):
    # The full-width networks apart: compiled as users have it, in a process of
    # their own. Whoever selects by marker gets one run a backend.
    runs = [(["-m", "not large"], QUICK), (["-m", "large"], {})]
    if "-m" in options:
        runs = [([], {})]
    failed = []
    for backend in BACKENDS:
        for selection, flags in runs:
            print(f"=== {backend} {' '.join(selection)} ===", flush=True)
            result = subprocess.run(
                [sys.executable, "-m", "pytest", *selection, *options],
                env={**os.environ, **flags, "KERAS_BACKEND": backend},
            )
            if result.returncode:
                failed.append(" ".join([backend, *selection]))
    return f"Failed: {'; '.join(failed)}" if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
