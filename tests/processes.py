"""Python processes that tests start: the command line, other backends, measurements."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

ROOT = Path(__file__).parents[1]

# For small networks XLA compiles far longer than it runs. Without its newer emitters
# it takes half the time.
FAST_COMPILATION = {
    "XLA_FLAGS": "--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true --xla_cpu_use_fusion_emitters=false"
}

# Processes that are started in the background may inherit that SIGINT is ignored.
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from _keras_ctsdg_command import main
main()
"""

# Prints its peak memory in gigabytes as the last word.
MEASURED_COMMAND = """
from _keras_ctsdg_command import main
from tests._process_memory import peak_memory
try:
    main()
finally:
    print(peak_memory())
"""


def start_command(*arguments, **environment):
    """Start `keras-ctsdg` as a process of its own, which Ctrl-C can stop."""
    return start_python("-c", COMMAND, *arguments, **environment)


def start_python(*arguments, **environment):
    """Start Python in the root of the repository.

    Args:
        *arguments: Arguments of `python`.
        **environment: Environment variables to add.

    Returns:
        `subprocess.Popen`, for `finish`.
    """
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={**FAST_COMPILATION, **os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Wait for a process and return its exit code, stdout and stderr."""
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


def finish_all(processes, seconds=900):
    """Wait for processes that need each other, and end all of them if one fails.

    Args:
        processes: Iterable of `subprocess.Popen`.
        seconds: Float, the time after which they count as failed. Defaults to `900`.

    Raises:
        AssertionError: If a process fails, with its stderr.
    """
    processes = list(processes)
    with ThreadPoolExecutor(len(processes)) as pool:
        checks = [pool.submit(_finish_well, process) for process in processes]
        _, left = wait(checks, seconds, FIRST_EXCEPTION)
        # One that only lost the others may be the first to end.
        wait(left, 10)
        for process in processes:
            process.kill()
    errors = [str(check.exception()) for check in checks if check.exception()]
    assert not errors, "\n".join(errors)


def _finish_well(process):
    exit_code, _, stderr = finish(process)
    assert exit_code == 0, stderr


def free_ports(count):
    """Return different ports that are free, for processes that are not started yet.

    They are below the range from which systems take the ports of connections.
    """
    with contextlib.ExitStack() as stack:
        ports = []
        while len(ports) < count:
            sock = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                sock.bind(("localhost", random.SystemRandom().randrange(15000, 32000)))
                ports.append(sock.getsockname()[1])
    return ports


def run_python(code, *arguments, backend, **environment):
    """Run code in a process on a backend and return its stdout.

    Args:
        code: Str, a Python program.
        *arguments: Its arguments.
        backend: Str, the Keras backend.
        **environment: Environment variables to add.

    Raises:
        AssertionError: If the process fails, with its stderr.
    """
    environment["KERAS_BACKEND"] = backend
    process = start_python("-W", "ignore", "-c", code, *arguments, **environment)
    exit_code, stdout, stderr = finish(process)
    assert exit_code == 0, stderr
    return stdout


def convert_by_command(source, name):
    """Convert a checkpoint as a user would, with `keras-ctsdg convert`.

    Args:
        source: Path of the checkpoint.
        name: Str, the name of the preset to write.

    Returns:
        Tuple of the wall time in seconds and the peak memory in gigabytes.
    """
    start = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-c", MEASURED_COMMAND, "convert", str(source), name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.monotonic() - start, float(process.stdout.split()[-1])
