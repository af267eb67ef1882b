"""Items that go through workers of a Ray cluster, each of which holds a model."""

import contextlib
import logging
import os
import pickle
import warnings

import keras

from _keras_ctsdg_command import hold_back_stderr

# Ray reads them when it is imported. It would print messages to stdout, among JSON.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",
}
# A worker whose process ends starts again, but not for ever for the same items.
RETRIES = 1
MAX_ITEMS_IN_BLOCK = 16


class WorkerDiedError(OSError):
    """The process of a worker ended each time that it was given an item."""


@contextlib.contextmanager
def connect(address, workers=None):
    """Connect to a Ray cluster, and end all workers when the `with` block ends.

    Args:
        address: Str: `"auto"` for the cluster that runs on this machine, `"local"` for
            one that is started and ended with the block, or the address of another.
        workers: Int, the number of workers, each with a model. Defaults to `None`: one
            for each GPU of the cluster or, without GPUs, for four CPUs.

    Yields:
        `RayCluster`.

    Raises:
        ImportError: If Ray is not installed.
        ValueError: If there is no such cluster.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(
            '`--ray` needs Ray: pip install "keras-ctsdg[ray]". '
            f"Received: --ray {address}"
        ) from error
    with warnings.catch_warnings():
        # Of options of Ray Data that it sets itself.
        warnings.filterwarnings("ignore", module=r"ray\.")
        # Of JAX, which has threads. What Ray forks becomes another program at once.
        warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called")
        _start_or_find(address)
        try:
            yield RayCluster(workers)
        finally:
            ray.shutdown()


def _start_or_find(address):
    import ray

    options = {"include_dashboard": False} if address == "local" else {}
    try:
        with hold_back_stderr():
            ray.init(
                address=address,
                runtime_env={"env_vars": worker_environment()},
                log_to_driver=False,
                logging_level=logging.ERROR,
                **options,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ValueError(
            "`--ray` must be `local`, or the address of a Ray cluster that runs, which "
            f"`auto` looks for on this machine. Received: --ray {address}, "
            f"{' '.join(str(error).split())}"
        ) from error


def worker_environment():
    """Return the environment variables of the workers: the backend, and no messages."""
    return {
        "KERAS_BACKEND": keras.backend.backend(),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
    }


class RayCluster:
    """The cluster that this process is connected to.

    Args:
        workers: As `connect` takes it.
    """

    def __init__(self, workers=None):
        import ray

        found = ray.cluster_resources()
        gpus, cpus = int(found.get("GPU", 0)), int(found.get("CPU", 1))
        self.workers = workers or gpus or max(1, cpus // 4)
        self.resources = {"num_gpus": min(1, gpus / self.workers)} if gpus else {}
        # A worker computes on as many threads as it has CPUs.
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        smallest = min(int(node["CPU"]) for node in nodes if node.get("CPU"))
        self.resources["num_cpus"] = max(1, min(cpus // self.workers, smallest))

    def run(self, items, make_process, *arguments):
        """Process items by workers.

        Each worker calls `make_process` once. Ray moves items to workers that are free
        and results back, a few at a time. If the process of a worker ends, its items
        are processed again.

        Args:
            items: List of objects that can be pickled.
            make_process: Function of a module, called with `arguments`. It returns a
                callable of a list of items, which yields a result for each of them, in
                any order, as tuple of the item's index in that list and the result.
            *arguments: Objects that can be pickled, for `make_process`.

        Yields:
            Tuple of the index of an item and its result, in the order in which workers
            finish; a `WorkerDiedError` for an item at which they ended.

        Raises:
            Exception: What `make_process` or its result raises.
        """
        import ray

        try:
            arguments = pickle.dumps((os.getcwd(), make_process, arguments))
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise ValueError(
                "`--ray` needs a model that can be sent to workers: a preset or a "
                f"`.keras` file, no exported one. Received: {error}"
            ) from error
        arguments = ray.put(arguments)
        missing = dict(enumerate(items))
        size = min(max(1, len(items) // (8 * self.workers)), MAX_ITEMS_IN_BLOCK)
        # An item at which workers end takes with it what waits at the same worker: that
        # is then processed on its own.
        for block_size, blocks in ((size, 2), (1, 1)):
            results = self._run_blocks(missing, block_size, blocks, arguments)
            for index, result in results:
                if index in missing:
                    del missing[index]
                    yield index, result
        for index in missing:
            yield (
                index,
                WorkerDiedError(
                    "The process of a worker ended each time that it was given this: "
                    "it may have run out of memory."
                ),
            )

    def _run_blocks(self, items, block_size, blocks_per_worker, arguments):
        import pyarrow
        import ray

        if not items:
            return
        indices = list(items)
        blocks = []
        for start in range(0, len(indices), block_size):
            part = indices[start : start + block_size]
            packed = [pickle.dumps(items[i]) for i in part]
            blocks.append(pyarrow.table({"index": part, "item": packed}))
        with _quiet_context():
            results = self._map(
                ray.data.from_arrow(blocks), arguments, blocks_per_worker
            )
            for table in results.iter_batches(batch_size=None, batch_format="pyarrow"):
                for row in table.to_pylist():
                    result = pickle.loads(row["result"])
                    if row["index"] is None:
                        raise result
                    yield row["index"], result

    def _map(self, blocks, arguments, blocks_per_worker):
        """Return Ray's data set of results, which is computed when it is iterated."""
        import ray

        count = min(self.workers, blocks.num_blocks())
        with warnings.catch_warnings():
            # Ray 2.64 is to have another name for `max_task_retries`.
            warnings.simplefilter("ignore")
            return blocks.map_batches(
                _Worker,
                batch_size=None,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(
                    size=count, max_tasks_in_flight_per_actor=blocks_per_worker
                ),
                fn_constructor_args=(arguments,),
                max_task_retries=RETRIES,
                **self.resources,
            )


@contextlib.contextmanager
def _quiet_context():
    """Let Ray Data print nothing, and leave blocks out at which workers ended."""
    import ray

    context = ray.data.DataContext.get_current()
    values = {
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "max_errored_blocks": -1,
    }
    previous = {name: getattr(context, name) for name in values}
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    for name, value in values.items():
        setattr(context, name, value)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in previous.items():
            setattr(context, name, value)


class _Worker:
    """What runs in the process of a worker.

    Args:
        arguments: Ray's reference to the pickled arguments of `RayCluster.run`.
    """

    def __init__(self, arguments):
        import ray

        self.process = self.error = None
        try:
            folder, make_process, arguments = pickle.loads(ray.get(arguments))
            # Relative paths are those of the command; its folder may be shared.
            with contextlib.suppress(OSError):
                os.chdir(folder)
            self.process = make_process(*arguments)
        # Ray would start a worker that raises again and again.
        except Exception as error:
            self.error = error

    def __call__(self, table):
        indices = table["index"].to_pylist()
        items = map(pickle.loads, table["item"].to_pylist())
        if self.process is None:
            yield _pack(None, self.error)
            return
        try:
            for i, result in self.process(list(items)):
                yield _pack(indices[i], result)
        except Exception as error:
            yield _pack(None, error)


def _pack(index, result):
    """Return a table of one row, in which an index of null marks an error."""
    import pyarrow

    try:
        packed = pickle.dumps(result)
        pickle.loads(packed)
    except Exception:
        packed = pickle.dumps(RuntimeError(f"{type(result).__name__}: {result}"))
    index = pyarrow.array([index], pyarrow.int64())
    return pyarrow.table({"index": index, "result": pyarrow.array([packed])})
