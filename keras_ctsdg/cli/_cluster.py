"""Options of commands that many machines can share."""

import contextlib
from typing import Annotated

import typer

RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Work on a Ray cluster: its address, `auto`, or `local` to start one.",
    ),
]
RayWorkers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Models on the cluster; by default one per GPU, or per four CPUs.",
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(metavar="K/N", help="Only part K of N, for an array of jobs."),
]


@contextlib.contextmanager
def open_cluster(address, workers):
    """Connect to the Ray cluster that a command's options name.

    Args:
        address, workers: As `keras_ctsdg.cluster.ray_data.connect` takes them. With
            `None` for the address, this process does all the work.

    Yields:
        `keras_ctsdg.cluster.ray_data.RayCluster`, or `None`.

    Raises:
        ValueError: If there are workers, but no address.
    """
    if address is None:
        if workers is not None:
            raise ValueError(
                f"--ray-workers needs --ray. Received: --ray-workers {workers}"
            )
        yield None
        return
    from keras_ctsdg.cluster.ray_data import connect

    with connect(address, workers) as cluster:
        yield cluster
