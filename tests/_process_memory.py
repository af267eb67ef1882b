"""Memory of a process, as Linux reports it.

`resource.getrusage` would not do: after a fork and an exec, its peak is at least that
of the process that started this one, which in tests is a large pytest.
"""


def peak_memory(process="self"):
    """Return the most memory that a process has held so far, in gigabytes.

    Args:
        process: Int, the id of a running process. Defaults to this process.
    """
    return _read_status("VmHWM", process)


def current_memory(process="self"):
    """Return the memory that a process holds now, in gigabytes.

    Args:
        process: Int, the id of a running process. Defaults to this process.
    """
    return _read_status("VmRSS", process)


def _read_status(field, process):
    with open(f"/proc/{process}/status") as file:
        values = dict(line.split(":", 1) for line in file)
    return int(values[field].split()[0]) * 1024 / 1e9
