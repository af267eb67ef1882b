import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Many tests compile the same step. JAX then finds it here, in other processes too.
_cache = tempfile.TemporaryDirectory(prefix="keras_ctsdg_jax_")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _cache.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import hypothesis  # noqa: E402
import keras  # noqa: E402
import pytest  # noqa: E402

# On a server a run must fail because of a change, not because of a random example.
hypothesis.settings.register_profile("server", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("server")


def pytest_report_header():
    return f"keras {keras.__version__} on {keras.backend.backend()}"


@pytest.fixture(autouse=True)
def seeded():
    """Start every test with the same random seed and the same dtype policy."""
    keras.utils.set_random_seed(1)
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="session")
def shared_model():
    """The model of `small_model`, which makes it safe to train."""
    from tests.training.common import make_model

    keras.utils.set_random_seed(1)
    return make_model()


@pytest.fixture
def small_model(shared_model):
    """A compiled model of few weights, in the same state for every test.

    Tests share its compiled steps, and may train it. What cannot be undone by
    assigning variables, such as another `compile`, needs a model of its own.
    """
    from tests.training.common import read_state, restore_state

    state = read_state(shared_model)
    yield shared_model
    restore_state(state)


@pytest.fixture
def preset(small_model, tmp_path):
    """The folder of a preset of `small_model`, for filling."""
    folder = tmp_path / "preset"
    small_model.save_to_preset(folder, with_discriminator=False)
    return folder


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line in this process and return exit code, stdout and stderr."""
    from keras_ctsdg import cli

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["keras-ctsdg", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code or 0, *capsys.readouterr()

    return run
