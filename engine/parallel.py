"""One run trained by several processes: what `torchrun … -m scripts.train` adds to it.

All processes take the same steps, each on its shard of every batch, and all evaluate, so that they
stay in the same state; only rank 0 writes and prints. For a run of one process, everything here
does nothing, at no cost.
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
from engine.run import LossBlock, Run
from engine.world import local_rank, local_world_size, rank, world_size
from tasks.task import Task

Value = TypeVar("Value")

CPU = torch.device("cpu")


def join() -> None:
    """Initialize the process group; returns when all processes have joined."""
    if world_size() > 1 and not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")


def local_device(requested: str) -> torch.device:
    """The device that this process trains on.

    Raises:
        BadInput: there are not as many GPUs as processes on this machine.
    """
    devices = available(requested)
    if world_size() == 1 or devices[0] == CPU:
        return devices[0]
    processes = local_world_size()
    if processes > len(devices):
        raise BadInput(
            f"torchrun --nproc-per-node={processes}: train.device={requested} stands for "
            f"{len(devices)} GPU(s) of this machine, and each process needs its own"
        )
    device = devices[local_rank()]
    torch.cuda.set_device(device)
    return device


def check_batch(task: Task, config: dict[str, Any]) -> None:
    """Raise BadInput where batches cannot be split into the micro-batches and shards of a run."""
    batch_size, accumulate = config["task"].get("batch_size"), config["accumulate"]
    name = config["names"]["task"]
    processes = max(world_size(), config["sweep"]["devices_per_run"])
    if accumulate > 1 and not task.divisible:
        raise BadInput(
            f"accumulate={accumulate}: task={name} has no batch to cut: set accumulate=1"
        )
    if processes > 1 and not task.shareable:
        raise BadInput(
            f"task={name}: this task is trained by one process, not by {processes}: leave torchrun "
            "out, and sweep.devices_per_run at 1"
        )
    if batch_size is not None and accumulate > batch_size:
        raise BadInput(f"accumulate={accumulate}: must be at most task.batch_size={batch_size}")
    if processes > 1 and batch_size is not None and batch_size // accumulate < processes:
        raise BadInput(
            f"torchrun: {processes} processes cannot share task.batch_size={batch_size} with "
            f"accumulate={accumulate}: that leaves fewer than one example for each"
        )
    if processes > 1 and 0 < task.smallest_batch < accumulate * processes:
        raise BadInput(
            f"torchrun: {processes} processes cannot share the last batch of an epoch, of "
            f"{task.smallest_batch} examples, with accumulate={accumulate}: set task.drop_last=true"
        )


# -- communication ---------------------------------------------------------------------------------


def call_on_rank_zero(call: Callable[[], Value]) -> Value:
    """Call in rank 0 only; return its value, or raise its exception, in all processes."""
    if world_size() == 1:
        return call()
    result: list[Any] = [None, None]
    if rank() == 0:
        try:
            result[0] = call()
        except Exception as error:
            result[1] = error
    dist.broadcast_object_list(result, src=0, device=CPU)
    value, error = result
    if error is not None:
        raise error
    return value


def all_reduce_max(*values: int) -> list[int]:
    """The maximum of each value over all processes."""
    if world_size() == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.int64)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return tensor.tolist()


def all_gather(value: Value) -> list[Value]:
    """The values of all processes, their tensors on the CPU."""
    if world_size() == 1:
        return [value]
    # In torch's own format: pickled tensors would come back on the sender's GPU.
    buffer = io.BytesIO()
    torch.save(value, buffer)
    gathered: list[Any] = [None] * world_size()
    dist.all_gather_object(gathered, buffer.getvalue())
    return [torch.load(io.BytesIO(content), map_location="cpu") for content in gathered]


def all_reduce_mean(values: Tensor) -> Tensor:
    """The mean over all processes, element by element."""
    return all_reduce_sum(values) / world_size() if world_size() > 1 else values


def all_reduce_sum(values: Tensor) -> Tensor:
    """The sum over all processes, element by element."""
    values = values.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(values)
    return values


def peer_died(error: Exception) -> bool:
    """Whether the error means that another process of the run is gone."""
    return world_size() > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error))


class RunOfHigherRank(Run):
    """A run in the processes other than rank 0, which do not write to its folder."""

    def record(self, step: int, metrics: dict[str, float]) -> None:
        """Do nothing: rank 0 records the same."""

    def record_losses(self, block: LossBlock | None) -> None:
        """Do nothing: rank 0 keeps the same."""

    def record_pause(self, pause_at: float, worth: dict[str, Any]) -> None:
        """Do nothing: rank 0 notes the same."""

    def save_checkpoint(self, state: dict[str, Any]) -> bool:
        """Do nothing: rank 0 saves the state that was gathered from all."""
        return False

    def end(self, status: str, summary: dict[str, Any]) -> dict[str, Any]:
        """Log a failure, which may have happened in this process alone."""
        if status == "failed":
            log.error("process %d of %d: %s", rank(), world_size(), summary["error"])
        return summary


# -- the gradient of a sharded batch ---------------------------------------------------------------


class Objective(nn.Module):
    """A task's loss as a module for DDP, so that the task may call its model in any way."""

    def __init__(self, task: Task):
        super().__init__()
        self.model = task.model
        self.task = task

    def forward(self, batch: Any) -> Tensor:
        return self.task.loss(batch)


def objective(task: Task) -> Callable[[Any], Tensor]:
    """The task's loss, with gradients that are means over all processes."""
    if world_size() == 1:
        return task.loss
    return DistributedDataParallel(Objective(task))


def no_sync(loss: Callable[[Any], Tensor]) -> AbstractContextManager[Any]:
    """In the block, gradients are accumulated locally, and synchronized by a later backward."""
    return loss.no_sync() if isinstance(loss, DistributedDataParallel) else nullcontext()


def shards(task: Task, batch: Any, accumulate: int) -> list[tuple[Any, float]]:
    """This process's shard of each micro-batch of a batch, with its weight.

    The loss of the whole batch is the mean over processes of Σ weight·loss. The batch is split into
    micro-batches first, so that batch norm sees the same ones with any number of processes.

    Raises:
        ValueError: the batch cannot be split, or batch norm would see an example twice.
    """
    micro_batches = [(batch, 1.0)] if accumulate == 1 else task.split(batch, accumulate)
    if world_size() == 1:
        return micro_batches
    weighted_shards = []
    for micro_batch, weight in micro_batches:
        shard, shard_weight = local_shard(task.model, task.split(micro_batch, world_size()))
        weighted_shards.append((shard, weight * shard_weight * world_size()))
    return weighted_shards


def local_shard(model: nn.Module, shards: list[tuple[Any, float]]) -> tuple[Any, float]:
    """This process's shard of a micro-batch, and its weight in it."""
    if len(shards) < world_size() and any(isinstance(m, _BatchNorm) for m in model.modules()):
        raise ValueError(f"{world_size()} processes cannot share a batch of {len(shards)} examples")
    if rank() < len(shards):
        return shards[rank()]
    return shards[0][0], 0.0  # there are too few, but DDP waits for a gradient of every process


# -- batch norm over the whole batch ---------------------------------------------------------------


def sync_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """Let batch norm compute its statistics over all processes' shards."""
    if world_size() == 1:
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
    dims = [dim for dim in range(input.dim()) if dim != 1]
    count = all_reduce_sum(torch.tensor(input.numel() // input.size(1))).item()
    mean = AllReduceSum.apply(input.float().sum(dims, keepdim=True)) / count
    centred = input.float() - mean
    variance = AllReduceSum.apply(centred.square().sum(dims, keepdim=True)) / count
    unbiased = variance.detach().flatten() * count / (count - 1)
    update_running_statistics(norm, mean.detach().flatten(), unbiased)
    output = centred * (variance + norm.eps).rsqrt()
    if norm.affine:
        output = output * norm.weight.view_as(mean) + norm.bias.view_as(mean)
    return output.to(input.dtype)


def update_running_statistics(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Update the running statistics, where there are any, as PyTorch does."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked.add_(1)
    momentum = 1 / norm.num_batches_tracked if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance, momentum)


class AllReduceSum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of all their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return all_reduce_sum(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return all_reduce_sum(gradients[0])
