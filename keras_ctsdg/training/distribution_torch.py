"""Training by several processes of `torch.distributed`, such as `torchrun` starts.

Keras 3.15.1 has no distribution on PyTorch; keras-team/keras#23316 and #23418 bring
one. Where a `keras.distribution` is set, all of this leaves the work to it.
"""

import contextlib
import os

import keras
import torch
from torch import distributed
from torch.distributed.nn.functional import all_reduce

# Large enough that latency is small, small enough that memory is.
BUCKET_BYTES = 25 * 2**20


def process_count():
    if not distributed.is_available() or not distributed.is_initialized():
        return 1
    if keras.distribution.distribution() is not None:
        return 1
    return distributed.get_world_size()


def process_index():
    return distributed.get_rank() if process_count() > 1 else 0


def is_launched():
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def start():
    """Join the processes that `torchrun` started, each with a device of its own.

    Returns:
        Context in which the model is created.
    """
    if "RANK" not in os.environ:
        raise ValueError(
            "--distribute on PyTorch needs `torchrun`, as in `torchrun "
            "--nproc-per-node 2 -m keras_ctsdg.cli train`. Received: no environment "
            "variable RANK"
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not distributed.is_initialized():
        kind = "nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(kind)
    return contextlib.nullcontext()


def stop():
    """Leave the processes that train together."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def any_process(flag, _):
    """Return whether a flag is true in any process."""
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    is_any = torch.tensor(float(flag), device=device)
    distributed.all_reduce(is_any, distributed.ReduceOp.MAX)
    return bool(is_any)


def alone():
    """Return a context that does nothing: variables are created by each process."""
    return contextlib.nullcontext()


def batch_multiple():
    """Return 0: batches of a process need no padding, because it has one device."""
    return 0


# === Sums over all processes ===


def all_sum(x):
    """Return the sum of the tensors of all processes, with gradients."""
    return all_reduce(x) if process_count() > 1 else x


class GradientSums:
    """Sums of gradients over all processes, computed while training goes on.

    Args:
        gradients: List of tensors, of the same shapes in every process.
    """

    def __init__(self, gradients):
        self.gradients = gradients
        self.pending = []
        if process_count() == 1:
            return
        for bucket in split_into_buckets(gradients):
            flat = torch.cat([gradients[i].reshape(-1) for i in bucket])
            work = distributed.all_reduce(flat, async_op=True)
            self.pending.append((bucket, flat, work))

    def wait(self):
        """Return the sums, as a list of tensors."""
        sums = list(self.gradients)
        for bucket, flat, work in self.pending:
            work.wait()
            parts = flat.split([sums[i].numel() for i in bucket])
            for i, part in zip(bucket, parts, strict=True):
                sums[i] = part.view(sums[i].shape)
        return sums


def split_into_buckets(tensors, size=BUCKET_BYTES):
    """Split tensors into runs of one dtype, each of at most `size` bytes or one tensor.

    Args:
        tensors: List of tensors.
        size: Int. Defaults to 25 MiB.

    Returns:
        List of lists of indices, in order.
    """
    buckets, used, dtype = [], size, None
    for index, tensor in enumerate(tensors):
        needed = tensor.numel() * tensor.element_size()
        if not buckets or used + needed > size or tensor.dtype != dtype:
            buckets.append([])
            used, dtype = 0, tensor.dtype
        buckets[-1].append(index)
        used += needed
    return buckets


def copy_from_main_process(tensors):
    """Give tensors the values that they have in the first process.

    Args:
        tensors: List of tensors, of the same shapes in every process.
    """
    with torch.no_grad():
        for bucket in split_into_buckets(tensors):
            flat = torch.cat([tensors[i].reshape(-1) for i in bucket])
            distributed.broadcast(flat, src=0)
            parts = flat.split([tensors[i].numel() for i in bucket])
            for i, part in zip(bucket, parts, strict=True):
                tensors[i].copy_(part.view(tensors[i].shape))
