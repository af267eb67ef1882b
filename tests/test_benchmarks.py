import subprocess
import sys


def test_data():
    """It runs; what it measures is for a quiet machine."""
    result = subprocess.run(
        [sys.executable, "benchmarks/data.py", "--pictures", "12", "--rounds", "1"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    for name in ("read and decode", "edges", "masks", "plain loop", "2 threads"):
        assert name in result.stdout
