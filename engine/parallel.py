"""One run trained by several processes: what `torchrun … -m scripts.train` adds to it.

All processes take the same steps, each on its share of every batch, and all evaluate, so that they
stay in the same state; the first one alone writes and speaks. For a run of one process, everything
here does nothing, at no cost.
"""

import functools
import io
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from engine.checks import BadInput
from engine.console import log
from engine.devices import available
from engine.run import Run
from engine.world import check, local_rank, local_size, rank, size
from tasks.task import Task

Value = TypeVar("Value")

CPU = torch.device("cpu")


def join() -> None:
    """Meet the other processes; returns when all have come."""
    if size() > 1 and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def own_device(wanted: str) -> torch.device:
    """The device that this process trains on.

    Raises:
        BadInput: there are not as many GPUs as processes on this machine.
    """
    devices = available(wanted)
    if size() == 1 or devices[0] == CPU:
        return devices[0]
    processes = local_size()
    if processes > len(devices):
        raise BadInput(
            f"torchrun --nproc-per-node={processes}: train.device={wanted} stands for "
            f"{len(devices)} GPU(s) of this machine, and each process needs its own"
        )
    device = devices[local_rank()]
    torch.cuda.set_device(device)
    return device


def check_one_run(command: str) -> None:
    """Raise BadInput where several processes are to carry out a command for many runs."""
    check()
    if size() > 1:
        raise BadInput(
            f"{command}: torchrun trains one run by several processes; for many runs leave "
            f"torchrun out and set sweep.devices_per_run={size()}"
        )


def check_batch(task: Task, config: dict[str, Any]) -> None:
    """Raise BadInput where batches cannot be cut as a run asks for: into parts, for processes."""
    batch, parts = config["task"].get("batch_size"), config["accumulate"]
    name = config["names"]["task"]
    processes = max(size(), config["sweep"]["devices_per_run"])
    if parts > 1 and not task.divisible:
        raise BadInput(f"accumulate={parts}: task={name} has no batch to cut: set accumulate=1")
    if processes > 1 and not task.shareable:
        raise BadInput(
            f"task={name}: this task is trained by one process, not by {processes}: leave torchrun "
            "out, and sweep.devices_per_run at 1"
        )
    if batch is not None and parts > batch:
        raise BadInput(f"accumulate={parts}: must be at most task.batch_size={batch}")
    if processes > 1 and batch is not None and batch // parts < processes:
        raise BadInput(
            f"torchrun: {processes} processes cannot share task.batch_size={batch} with "
            f"accumulate={parts}: that leaves fewer than one example for each"
        )


# -- what the processes tell each other ------------------------------------------------------------


def from_first(call: Callable[[], Value]) -> Value:
    """What `call` returns or raises in the first process, in all of them."""
    if size() == 1:
        return call()
    told: list[Any] = [None, None]
    if rank() == 0:
        try:
            told[0] = call()
        except Exception as error:
            told[1] = error
    dist.broadcast_object_list(told, src=0, device=CPU)
    value, error = told
    if error is not None:
        raise error
    return value


def all_reduce_max(*wishes: int) -> list[int]:
    """The largest of what the processes wish, wish by wish: all of them do the same next."""
    if size() == 1:
        return list(wishes)
    votes = torch.tensor(wishes, dtype=torch.int64)
    dist.all_reduce(votes, op=dist.ReduceOp.MAX)
    return votes.tolist()


def gather(value: Value) -> list[Value]:
    """The values of all processes, their tensors on the CPU."""
    if size() == 1:
        return [value]
    # Tensors by torch's own format: pickled ones would come back on the sender's GPU.
    packed = io.BytesIO()
    torch.save(value, packed)
    parcels: list[Any] = [None] * size()
    dist.all_gather_object(parcels, packed.getvalue())
    return [torch.load(io.BytesIO(parcel), map_location="cpu") for parcel in parcels]


def mean(values: Tensor) -> Tensor:
    """The mean over all processes, element by element."""
    return total(values) / size() if size() > 1 else values


def total(values: Tensor) -> Tensor:
    values = values.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(values)
    return values


def peer_died(error: Exception) -> bool:
    """Whether the error says that another process of the run is gone."""
    return size() > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error))


class RunOfHigherRank(Run):
    """A run in the processes that are not its first: they leave its folder alone."""

    def record(self, step: int, metrics: dict[str, float]) -> None:
        """Nothing: the first process records the same."""

    def save_checkpoint(self, state: dict[str, Any]) -> bool:
        """Nothing: the first process saves what all have gathered."""
        return False

    def end(self, status: str, summary: dict[str, Any]) -> dict[str, Any]:
        """Say what went wrong, which may have done so here alone."""
        if status == "failed":
            log.error("process %d of %d: %s", rank(), size(), summary["error"])
        return summary


# -- the gradient of a batch that is shared --------------------------------------------------------


class Objective(nn.Module):
    """A task's loss as a module, so that the task may call its model in any way."""

    def __init__(self, task: Task):
        super().__init__()
        self.model = task.model
        self.task = task

    def forward(self, batch: Any) -> Tensor:
        return self.task.loss(batch)


def objective(task: Task) -> Callable[[Any], Tensor]:
    """The task's loss; its gradients will be means over all processes."""
    if size() == 1:
        return task.loss
    return DistributedDataParallel(Objective(task))


def no_sync(loss: Callable[[Any], Tensor]) -> AbstractContextManager[Any]:
    """In the block, the loss is one whose gradient waits to be summed with that of a later one."""
    return loss.no_sync() if isinstance(loss, DistributedDataParallel) else nullcontext()


def shards(task: Task, batch: Any, parts: int) -> list[tuple[Any, float]]:
    """Cut a batch into parts, and of each take this process's share with its weight.

    The loss of the whole batch is the mean over processes of Σ weight·loss. Parts are cut first, so
    that batch norm sees the same ones whatever the number of processes.

    Raises:
        ValueError: the batch cannot be cut, or batch norm would see an example twice.
    """
    whole = [(batch, 1.0)] if parts == 1 else task.split(batch, parts)
    if size() == 1:
        return whole
    taken = []
    for part, weight in whole:
        share, of_part = own_shard(task.model, task.split(part, size()))
        taken.append((share, weight * of_part * size()))
    return taken


def own_shard(model: nn.Module, cut: list[tuple[Any, float]]) -> tuple[Any, float]:
    """What this process takes of a part, and its weight in it."""
    if len(cut) < size() and any(isinstance(m, _BatchNorm) for m in model.modules()):
        raise ValueError(f"{size()} processes cannot share a batch of {len(cut)} examples")
    if rank() < len(cut):
        return cut[rank()]
    return cut[0][0], 0.0  # nothing is left, and DDP waits for a gradient of every process


# -- batch norm over the whole batch ---------------------------------------------------------------


def share_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """Let batch norm see the whole batch, of which each process has a share."""
    if size() == 1:
        return model
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():  # PyTorch has none for the CPU
        if isinstance(module, _BatchNorm):
            module.forward = functools.partial(batch_norm, module)
    return model


def batch_norm(norm: _BatchNorm, input: Tensor) -> Tensor:
    """Batch norm whose statistics, in training mode, are those of all processes' input."""
    if not norm.training:
        return type(norm).forward(norm, input)
    over = [dim for dim in range(input.dim()) if dim != 1]
    count = total(torch.tensor(input.numel() // input.size(1))).item()
    mean = Total.apply(input.float().sum(over, keepdim=True)) / count
    centred = input.float() - mean
    variance = Total.apply(centred.square().sum(over, keepdim=True)) / count
    track(norm, mean.detach().flatten(), variance.detach().flatten() * count / (count - 1))
    output = centred * (variance + norm.eps).rsqrt()
    if norm.affine:
        output = output * norm.weight.view_as(mean) + norm.bias.view_as(mean)
    return output.to(input.dtype)


def track(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics, where there are any, as PyTorch does."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    pace = 1 / norm.num_batches_tracked if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, pace)
    norm.running_var.lerp_(variance, pace)


class Total(torch.autograd.Function):
    """The sum over all processes, which each of their losses depends on."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return total(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return total(gradients[0])
