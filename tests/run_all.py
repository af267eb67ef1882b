"""Runs all tests on all three backends: `python -m tests.run_all [pytest options]`."""

import os
import subprocess
import sys

BACKENDS = ("tensorflow", "jax", "torch")


def main(options):
    failed = []
    for backend in BACKENDS:
        print(f"=== {backend} ===", flush=True)
        result = subprocess.run(
            [sys.executable, "-m", "pytest", *options],
            env={**os.environ, "KERAS_BACKEND": backend},
        )
        if result.returncode:
            failed.append(backend)
    return f"Failed on {', '.join(failed)}." if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
