import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Many tests compile the same step: JAX then finds it here, also in other processes.
_cache = tempfile.TemporaryDirectory(prefix="keras_ctsdg_jax_")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _cache.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import hypothesis  # noqa: E402
import keras  # noqa: E402
import pytest  # noqa: E402

# A run on a server shall fail for a change, not for an example drawn by chance.
hypothesis.settings.register_profile("server", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("server")


def pytest_report_header():
    return f"keras {keras.__version__} on {keras.backend.backend()}"


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random numbers and the same policy."""
    keras.utils.set_random_seed(1)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture
def command(monkeypatch, capsys):
    """The command line without a process of its own: code, stdout and stderr."""
    from keras_ctsdg import cli

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["keras-ctsdg", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code or 0, *capsys.readouterr()

    return run
