"""What workers of a cluster do: the same as a single process, for some of its files."""

from keras_ctsdg.data._skipped_files import SkippedFiles
from keras_ctsdg.evaluation import evaluate_batches
from keras_ctsdg.inpainting.batch import fill_files

# === Fill ===


def fill_files_on(cluster):
    """Return `keras_ctsdg.inpainting.batch.fill_files` by the workers of a cluster.

    Args:
        cluster: `keras_ctsdg.cluster.ray_data.RayCluster`.

    Returns:
        Callable as `fill_files`, which yields the results as workers finish.
    """

    def fill(model, tasks, files, options):
        for index, result in cluster.run(tasks, make_filler, model, files, options):
            if isinstance(result, Exception):
                result = "failed", str(result)
            yield tasks[index], *result

    return fill


def make_filler(model, files, options):
    """Return the callable by which a worker fills tasks, as `RayCluster.run` says."""

    def process(tasks):
        filled = fill_files(model, tasks, files, options)
        for i, (_, outcome, detail) in enumerate(filled):
            if isinstance(detail, Exception):
                # Some errors cannot be pickled.
                detail = str(detail) or type(detail).__name__
            yield i, (outcome, detail)

    return process


# === Evaluation ===


def evaluate_batches_on(cluster):
    """Return `keras_ctsdg.evaluation.evaluate_batches` by the workers of a cluster.

    Args:
        cluster: `keras_ctsdg.cluster.ray_data.RayCluster`.

    Returns:
        Callable as `evaluate_batches`, which yields the scores as workers finish.
    """

    def evaluate(model, dataset, starts, limit=None):
        starts = list(starts)
        results = cluster.run(starts, make_evaluator, model, dataset, limit)
        for _, scores in results:
            if isinstance(scores, Exception):
                raise scores
            for name, reason in scores.skipped.items():
                dataset.skipped.add(name, reason)
            yield scores

    return evaluate


def make_evaluator(model, dataset, limit):
    """Return the callable by which a worker measures batches, by their starts."""

    def process(starts):
        # Batches come in any order: which of them skips a file first is only known
        # when all are there.
        dataset.skipped = SkippedFiles()
        yield from enumerate(evaluate_batches(model, dataset, starts, limit))

    return process
