"""Gradients of other dtypes, tensors that are more than their memory, and what is refused."""

import pytest
import torch
import torch.distributed as dist
from cases import EXECUTORS
from suite import every_executor, every_own, gradient
from torch.distributed._functional_collectives import AsyncCollectiveTensor, all_reduce
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.nn import Parameter
from torch.testing._internal.two_tensor import TwoTensor

import optim
from optim.traced_amsgrad import TracedAMSGrad

# Of a parameter and its gradient.
DTYPES = [
    (torch.bfloat16, torch.float32),
    (torch.bfloat16, torch.float64),
    (torch.bfloat16, torch.bfloat16),
    (torch.float16, torch.bfloat16),
    (torch.float32, torch.bfloat16),
    (torch.float32, torch.float64),
    (torch.float32, torch.float32),
    (torch.float32, torch.int64),
    (torch.float64, torch.float32),
    (torch.complex64, torch.float32),
    (torch.complex64, torch.complex128),
]


@every_executor
@every_own
def test_gradients_of_another_dtype_count_in_that_of_the_state(make, executor):
    start = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    mixed = [Parameter(start.to(dtype)) for dtype, _ in DTYPES]
    wide = [Parameter(p.detach().to(torch.promote_types(p.dtype, torch.float32))) for p in mixed]
    one = make(mixed, weight_decay=0.1, **EXECUTORS[executor])
    other = make(wide, weight_decay=0.1, foreach=False)
    for t in range(5):
        for p, q, (_, dtype) in zip(mixed, wide, DTYPES, strict=True):
            q.data.copy_(p.data)
            p.grad_dtype = dtype
            p.grad = (4 * gradient(torch.empty(6, 5, dtype=torch.float64), t)).to(dtype)
            q.grad = p.grad.to(q.dtype)
        one.step()
        other.step()
        for p, q in zip(mixed, wide, strict=True):
            slack = 0 if executor != "compile" else torch.finfo(p.dtype).eps
            torch.testing.assert_close(p.detach(), q.detach().to(p.dtype), rtol=slack, atol=slack)


class Named(Parameter):
    """A parameter with a method more."""


class Tagged(torch.Tensor):
    """A tensor whose results are tagged as well."""


WRAPPED = {
    "a parameter's class": Named,
    "a tensor's class": lambda x: Parameter(x.as_subclass(Tagged)),
    "two tensors in one": lambda x: Parameter(TwoTensor(x, x.clone())),
    "negated when read": lambda x: Parameter((-1j * x).conj().imag),
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@every_executor
@every_own
def test_all_of_a_tensor_of_another_class_is_trained(make, executor, wrapped, monkeypatch):
    monkeypatch.setattr(optim.executors, "BATCH", 1000)
    start = torch.randn(90, 60, generator=torch.Generator().manual_seed(0))
    other, plain = WRAPPED[wrapped](start.clone()), Parameter(start.clone())
    optimizers = make([other], **EXECUTORS[executor]), make([plain], foreach=False)
    for t in range(3):
        g = gradient(start, t)
        plain.grad = g
        other.grad = TwoTensor(g, g.clone()) if isinstance(other, TwoTensor) else g
        for optimizer in optimizers:
            optimizer.step()
    values = other.a if isinstance(other, TwoTensor) else other.detach().as_subclass(torch.Tensor)
    torch.testing.assert_close(values.detach().clone(), plain.detach(), rtol=0, atol=1e-6)


@pytest.fixture
def mesh(tmp_path):
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def test_a_gradient_that_is_still_on_its_way_is_waited_for(mesh):
    p, q = (Parameter(torch.ones(4)) for _ in range(2))
    q.grad = torch.arange(4.0)
    p.grad = all_reduce(q.grad, "sum", mesh)
    assert isinstance(p.grad, AsyncCollectiveTensor)
    for parameter in (p, q):
        optim.LaProp([parameter]).step()
    assert torch.equal(p, q)


def complex_gradient(p, _):
    p.grad, p.grad_dtype = None, torch.complex64
    p.grad = torch.ones(4, 3, dtype=torch.complex64)


def another_shape(p, _):
    p.data = torch.ones(5, 3)
    p.grad = torch.ones(5, 3)


def another_shape_than_the_gradient(p, _):
    p.data = torch.ones(5, 3)


def another_dtype(p, _):
    p.data = torch.ones(4, 3, dtype=torch.float64)
    p.grad = torch.ones(4, 3, dtype=torch.float64)


def eight_bits(p, _):
    p.data = torch.ones(4, 3).to(torch.float8_e4m3fn)
    p.grad_dtype = torch.float32


def another_option(_, optimizer):
    optimizer.param_groups[0]["amsgrad"] = True


REFUSED = {
    complex_gradient: "LaProp does not support a complex gradient of a real parameter: parameter 2",
    another_shape: "LaProp keeps state of another shape, device or dtype than its parameter",
    another_shape_than_the_gradient: "LaProp does not support a gradient of another shape or dev",
    another_dtype: r"`load_state_dict\(state_dict\(\)\)` brings it along: parameter 2 \('w'\)",
    eight_bits: "LaProp does not support parameters of torch.float8_e4m3fn: parameter 2",
    another_option: "LaProp has no state 'n_max': options of the group were changed: parameter 0",
}


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("change", REFUSED)
def test_what_does_not_go_together_is_refused_and_nothing_changed(change, executor):
    early, late, p = Parameter(torch.ones(2)), Parameter(torch.ones(2)), Parameter(torch.ones(4, 3))
    groups = [{"params": [("a", early), ("b", late)]}, {"params": [("w", p)]}]
    optimizer = optim.LaProp(groups, **EXECUTORS["loop"])
    for q in (early, p):
        q.grad = torch.ones_like(q)
    optimizer.step()
    late.grad = torch.ones(2)
    change(p, optimizer)
    for group in optimizer.param_groups:
        group.update({"foreach": None, "compile": False} | EXECUTORS[executor])
    before, moment = early.detach().clone(), optimizer.state[early]["m"].clone()
    with pytest.raises(RuntimeError, match=REFUSED[change]):
        optimizer.step()
    assert torch.equal(early, before)
    assert torch.equal(late, torch.ones(2))
    assert not optimizer.state.get(late)
    assert optimizer.state[early]["step"] == 1
    assert torch.equal(optimizer.state[early]["m"], moment)


def test_state_of_another_dtype_is_brought_along():
    p = Parameter(torch.ones(4, 3))
    optimizer = optim.LaProp([p])
    p.grad = torch.ones(4, 3)
    optimizer.step()
    another_dtype(p, optimizer)
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert optimizer.state[p]["m"].dtype == torch.float64
    assert optimizer.state[p]["step"] == 2


def plain_gradient(mesh):
    p = Parameter(distribute_tensor(torch.ones(4, 3), mesh, [Shard(0)]))
    p.grad = torch.ones(4, 3)
    return p


def sharded_gradient(mesh):
    p = Parameter(torch.ones(4, 3))
    p.grad = distribute_tensor(torch.ones(4, 3), mesh, [Replicate()])
    return p


def summands(mesh):
    p = Parameter(DTensor.from_local(torch.ones(4, 3), mesh, [Partial()]))
    p.grad = torch.zeros_like(p)
    return p


def another_mesh(mesh):
    p = Parameter(distribute_tensor(torch.ones(4, 3), mesh, [Shard(0)]))
    square = init_device_mesh("cpu", (1, 1))
    p.grad = distribute_tensor(torch.ones(4, 3), square, [Shard(0), Shard(1)])
    return p


REFUSED_SHARDED = {
    plain_gradient: "a DTensor together with a gradient or state that is none: parameter 0",
    sharded_gradient: "a DTensor together with a gradient or state that is none: parameter 0",
    summands: "does not support a parameter in summands, one for each process",
    another_mesh: "does not support a gradient or state on another device mesh",
}


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("make", REFUSED_SHARDED)
def test_dtensors_that_do_not_go_together_are_refused(make, executor, mesh):
    p = make(mesh)
    optimizer = optim.Yogi([p], **EXECUTORS[executor])
    with pytest.raises(RuntimeError, match=REFUSED_SHARDED[make]):
        optimizer.step()
    assert not optimizer.state.get(p)


def test_state_laid_out_otherwise_is_refused_and_brought_along(mesh):
    p = Parameter(distribute_tensor(torch.ones(4, 3), mesh, [Shard(0)]))
    optimizer = optim.SignSGDM([p])
    p.grad = torch.ones_like(p)
    optimizer.step()
    optimizer.state[p]["m"] = optimizer.state[p]["m"].redistribute(placements=[Replicate()])
    with pytest.raises(RuntimeError, match="keeps state that is not placed as its parameter is; "):
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert optimizer.state[p]["m"].placements == p.placements


def test_swaps_are_not_counted_in_dtensors(mesh):
    p = Parameter(distribute_tensor(torch.ones(4, 3), mesh, [Shard(0)]))
    with pytest.raises(ValueError, match="TracedAMSGrad does not count in DTensors"):
        TracedAMSGrad([p])
