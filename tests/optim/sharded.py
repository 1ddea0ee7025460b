"""What two processes do that train one model between them: FSDP2, DTensors, sharded checkpoints.

Each of TESTS trains sharded parameters beside whole ones with the same gradients, and returns the
largest difference between them, in roundings of the parameters' dtype.
"""

import copy
import shutil
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from cases import EXECUTORS
from suite import gradient
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.multiprocessing.spawn import spawn
from torch.nn import Parameter
from torch.optim import Optimizer

import optim

FULL = StateDictOptions(full_state_dict=True)
TO_ALL = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)


class Job(NamedTuple):
    """An optimizer with some settings and a way to run it."""

    make: type[Optimizer]
    settings: dict[str, Any]
    executor: str

    def __str__(self) -> str:
        return f"{self.make.__name__} {self.settings} {self.executor}"

    def sharded(self, parameters: Iterable[Tensor], **more: Any) -> Optimizer:
        return self.make(parameters, **self.settings, **more, **EXECUTORS[self.executor])

    def whole(self, parameters: Iterable[Tensor], **more: Any) -> Optimizer:
        return self.make(parameters, **self.settings, **more, foreach=False)


def in_two_processes(folder: Path, jobs: list[Job]) -> dict[str, float]:
    """The result of every test on every job, from two processes that meet in `folder`."""
    spawn(work, (str(folder), jobs), nprocs=2)
    return torch.load(folder / "results.pt")


def work(rank: int, folder: str, jobs: list[Job]) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", 2)
    # What waits for ever fails in the end.
    limit = timedelta(minutes=10)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=limit)
    results = {f"{test.__name__} {job}": test(job) for job in jobs for test in TESTS}
    errors = torch.tensor(list(results.values()))
    dist.all_reduce(errors, dist.ReduceOp.MAX)
    if rank == 0:
        torch.save(dict(zip(results, errors.tolist(), strict=True)), f"{folder}/results.pt")
    dist.barrier()
    dist.destroy_process_group()


class Trained(NamedTuple):
    model: nn.Module
    optimizer: Optimizer


def fully_sharded(job: Job) -> float:
    # The shards of the first layer are larger than a batch of the executors.
    model, whole = models(513, 900)
    sharded = Trained(model, job.sharded(model.parameters(), lr=1e-2))
    plain = Trained(whole, job.whole(whole.parameters(), lr=1e-2))
    errors = [step_together(sharded, plain, t) for t in range(3)]
    for p in model.parameters():
        assert_state_is_sharded(sharded.optimizer, p)
    return max(errors)


def models(inputs: int, hidden: int) -> tuple[nn.Module, nn.Module]:
    """A sharded model and its whole twin; some shards are of unequal length, others empty."""
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(inputs, hidden), nn.Linear(hidden, 3), nn.Linear(3, 1))
    model = copy.deepcopy(whole)
    fully_shard(model)
    return model, whole


def step_together(one: Trained, plain: Trained, t: int) -> float:
    """A step of both on the gradient of the first."""
    pairs = list(zip(one.model.parameters(), plain.model.parameters(), strict=True))
    torch.manual_seed(t)
    one.model(torch.randn(4, plain.model[0].in_features)).square().mean().backward()
    for p, q in pairs:
        assert p.grad is not None
        q.grad = full(p.grad)
    error = both_step(one.optimizer, plain.optimizer, pairs)
    one.optimizer.zero_grad()
    return error


@torch.no_grad()
def both_step(one: Optimizer, other: Optimizer, pairs: list[tuple[Tensor, Tensor]]) -> float:
    """Let both step; how far p and q, which must have moved, are apart, in roundings of q."""
    before = [q.clone() for _, q in pairs]
    one.step()
    other.step()
    assert not any(torch.equal(q, old) for (_, q), old in zip(pairs, before, strict=True))
    return max(apart(full(p), q) for p, q in pairs)


def apart(p: Tensor, q: Tensor) -> float:
    error = (p - q).abs().max() / torch.finfo(q.dtype).eps
    return (error / q.abs().max()).item() if error else 0.0


def full(tensor: Tensor) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def assert_state_is_sharded(optimizer: Optimizer, p: Tensor) -> None:
    assert isinstance(p, DTensor)
    tensors = [value for value in optimizer.state[p].values() if isinstance(value, Tensor)]
    assert tensors
    for value in tensors:
        assert isinstance(value, DTensor)
        assert value.placements == p.placements
        assert value.to_local().shape == p.to_local().shape


def mixed_group(job: Job) -> float:
    """One group of sharded, replicated and plain parameters, of several dtypes."""
    mesh = init_device_mesh("cpu", (2,))
    pairs: list[tuple[Tensor, Tensor]] = []
    for shape, dtype, placement in LEAVES:
        start = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
        laid = start.clone() if placement is None else distribute_tensor(start, mesh, [placement])
        pairs.append((Parameter(laid), Parameter(start)))
    mixed = job.sharded([p for p, _ in pairs], lr=1e-2, weight_decay=0.1)
    plain = job.whole([q for _, q in pairs], lr=1e-2, weight_decay=0.1)
    errors = []
    for t in range(4):
        for p, q in pairs:
            q.grad = gradient(q, t)
            p.grad = laid_out(q.grad, p, t)
        errors.append(both_step(mixed, plain, pairs))
    for p, _ in pairs:
        if isinstance(p, DTensor):
            assert_state_is_sharded(mixed, p)
    return max(errors)


# Shape, dtype and placement.
LEAVES: list[tuple[tuple[int, ...], torch.dtype, Shard | Replicate | None]] = [
    ((7, 6), torch.float32, Shard(0)),
    ((7, 6), torch.float32, Shard(1)),
    ((7, 6), torch.float32, Replicate()),
    ((7, 6), torch.float32, None),
    ((100, 80), torch.float32, Shard(0)),
    ((1, 5), torch.float32, Shard(0)),
    ((9,), torch.float64, Shard(0)),
    ((5, 3), torch.complex64, Shard(0)),
    ((8, 3), torch.bfloat16, Shard(0)),
]


def laid_out(g: Tensor, p: Tensor, t: int) -> Tensor:
    """The gradient, as a DTensor in changing placements where the parameter is one."""
    if not isinstance(p, DTensor):
        return g.clone()
    if t == 1:
        return DTensor.from_local(g / 2, p.device_mesh, [Partial()])
    return distribute_tensor(g, p.device_mesh, [Replicate()] if t == 2 else p.placements)


def checkpointed(job: Job) -> float:
    """State goes through a folder, to another way to run, to whole parameters and back."""
    another = job._replace(executor="foreach" if job.executor == "loop" else "loop")
    model, whole = models(5, 20)
    source = Trained(model, job.sharded(model.parameters(), lr=1e-2))
    plain = Trained(whole, job.whole(whole.parameters(), lr=1e-2))
    for t in range(2):
        step_together(source, plain, t)

    def fresh(model: nn.Module) -> Trained:
        return Trained(model, another.sharded(model.parameters()))

    loaded, gathered = map(fresh, models(5, 20))
    spread = fresh(models(5, 20)[0])
    through_a_folder(source, loaded)
    everything = get_optimizer_state_dict(*source, options=FULL)
    set_optimizer_state_dict(*gathered, everything, options=FULL)
    everything = get_optimizer_state_dict(*gathered) if dist.get_rank() == 0 else {}
    set_optimizer_state_dict(*spread, everything, options=TO_ALL)
    return max(goes_on_like(plain, resumed) for resumed in (loaded, gathered, spread))


def through_a_folder(source: Trained, target: Trained) -> None:
    folders = [tempfile.mkdtemp() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(folders)
    dcp.save(get_optimizer_state_dict(*source), checkpoint_id=folders[0])
    state = get_optimizer_state_dict(*target)
    dcp.load(state, checkpoint_id=folders[0])
    set_optimizer_state_dict(*target, state)
    if dist.get_rank() == 0:
        shutil.rmtree(folders[0])


def goes_on_like(plain: Trained, resumed: Trained) -> float:
    plain = copy.deepcopy(plain)
    state = plain.model.state_dict()
    set_model_state_dict(resumed.model, state, options=FULL)
    return max(step_together(resumed, plain, t) for t in range(2, 4))


def observed(job: Job) -> float:
    """What an Observer tells of shards is what it tells of the whole."""
    model, whole = models(5, 20)
    sharded = Trained(model, job.sharded(model.parameters(), lr=1e-2, weight_decay=0.1))
    plain = Trained(whole, job.whole(whole.parameters(), lr=1e-2, weight_decay=0.1))
    pairs = list(zip(model.parameters(), whole.parameters(), strict=True))
    with optim.Observer(sharded.optimizer) as seen, optim.Observer(plain.optimizer) as wanted:
        for t in range(3):
            step_together(sharded, plain, t)
            assert seen.values.keys() == wanted.values.keys()
            for name, other in wanted.values.items():
                one = seen.values[name]
                assert len(one) == len(other)
                for p, q in pairs:
                    assert q not in other or apart(full(one[p]).float(), other[q].float()) < 64
    pairs = [(seen.metrics()[name], mean) for name, mean in wanted.metrics().items()]
    return max(apart(torch.tensor(one), torch.tensor(other)) for one, other in pairs)


def begun_at_rate_zero(job: Job) -> float:
    """A first step with gradients that are 0 in one process only is one in both."""
    mesh = init_device_mesh("cpu", (2,))
    own, shared = Parameter(torch.ones(4)), distribute_tensor(torch.ones(4), mesh, [Shard(0)])
    pairs = [(own, Parameter(torch.ones(4))), (Parameter(shared), Parameter(torch.ones(4)))]
    sharded = job.sharded([p for p, _ in pairs], lr=0.0)
    plain = job.whole([q for _, q in pairs], lr=0.0)
    gradients = [torch.zeros(4), torch.tensor([1.0, 2.0, 0.0, 0.0])]
    gradients[0] += 1 - dist.get_rank()
    give(pairs, gradients)
    sharded.step()
    plain.step()
    for optimizer in (sharded, plain):
        optimizer.param_groups[0]["lr"] = 1e-2
    give(pairs, [gradient(q, 1) for _, q in pairs])
    return both_step(sharded, plain, pairs)


def give(pairs: list[tuple[Tensor, Tensor]], gradients: list[Tensor]) -> None:
    for (p, q), g in zip(pairs, gradients, strict=True):
        p.grad, q.grad = laid_out(g, p, 0), g.clone()


TESTS = (fully_sharded, mixed_group, checkpointed, observed, begun_at_rate_zero)
