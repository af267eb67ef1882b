"""Entry point of the console command `keras-ctsdg`.

It is not in the package because importing any of its modules loads the backend, which
prints messages unless it is told not to beforehand.
"""

import contextlib
import os
import signal
import sys
import tempfile
from importlib.machinery import PathFinder


def main():
    """Run the command line without the startup messages of TensorFlow."""
    # At level 0, which hides nothing, messages are wanted.
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "0":
        sys.meta_path.insert(0, QuietTensorFlowFinder())
    with _exit_on_interrupt():
        try:
            from keras_ctsdg.cli import main as run_command_line
        except (ImportError, ValueError) as error:
            # Such as a backend that is not installed, or unknown to Keras.
            sys.exit(f"Error: {error}")
    run_command_line()


class QuietTensorFlowFinder:
    """Import TensorFlow, whenever it is first needed, without its startup messages.

    Its libraries print some while they are loaded, before they read
    `TF_CPP_MIN_LOG_LEVEL`. Keras imports TensorFlow on other backends, too.
    """

    def find_spec(self, name, path=None, target=None):
        """Return a module spec that loads TensorFlow, and `None` for other modules."""
        spec = PathFinder.find_spec(name, path) if name == "tensorflow" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_quietly(module):
            with hold_back_stderr():
                execute(module)

        spec.loader.exec_module = execute_quietly
        return spec


@contextlib.contextmanager
def hold_back_stderr():
    """Drop what is written to the stderr of this process, except before an error."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        stderr = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        except Exception:
            file.seek(0)
            os.write(stderr, file.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


@contextlib.contextmanager
def _exit_on_interrupt():
    """Make Ctrl-C end the process at once, with exit code 130 and no traceback."""
    previous = signal.getsignal(signal.SIGINT)
    # A process in the background may ignore the signal.
    if previous is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    yield
    signal.signal(signal.SIGINT, previous)
