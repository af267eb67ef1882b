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
    with _exit_on_signals():
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
def _exit_on_signals():
    """Make Ctrl-C, SIGTERM and SIGHUP end the process without a traceback.

    Within, that is at once, with the exit code 130, 143 or 129. Afterwards Ctrl-C has
    its usual effect, and the others end the command as an exception would. Without a
    handler, the first process of a container would ignore SIGTERM.
    """
    process_id = os.getpid()

    def exit_in_order(number, _):
        # Pools end their workers, which inherit this, by SIGTERM.
        end = sys.exit if os.getpid() == process_id else os._exit
        end(128 + number)

    handlers = {"SIGINT": signal.default_int_handler}
    handlers |= dict.fromkeys(("SIGTERM", "SIGHUP"), exit_in_order)
    handlers = {
        getattr(signal, name): handler
        for name, handler in handlers.items()
        if hasattr(signal, name)
        # A process in the background, or started by `nohup`, may ignore it.
        and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN
    }
    for number in handlers:
        signal.signal(number, lambda number, _: os._exit(128 + number))
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
