"""Every rule on a CUDA device, in every way to run it, against the reference and the CPU."""

import copy

import pytest
import torch
from cases import CASES, EXECUTORS, RULES, draw, expected, path, tolerance, worst_error
from torch.nn import Parameter

from optim import compiled, executors

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]

SHAPES = [(60, 50), (33,), (1,), (4, 5, 2), (), (130, 130)]
STEPS = 20
# A kernel is compiled for each rule with its options: the default ones are enough.
PAIRS = [(case, name) for case in CASES for name in ("loop", "foreach")]
PAIRS += [(case, "compile") for case in RULES]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(executors, "BATCH", 1000)
    monkeypatch.setattr(compiled, "PACKED", {"cpu": 1000, "cuda": 1000})
    monkeypatch.setattr(compiled, "LARGE", {"cpu": 2000, "cuda": 2000})
    monkeypatch.setattr(compiled, "MOST", 2999)  # and not one element is left over


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(("case", "executor"), PAIRS, ids=str)
def test_rule(case, executor, dtype):
    starts, gradients = draw(SHAPES, STEPS, dtype)
    got = path(case, starts, gradients, executor, "cuda")
    assert worst_error(got, expected(case, starts, gradients), starts) < tolerance(case, dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("case", RULES, ids=str)
def test_narrow_parameters_are_rounded_once_a_step(case, executor, dtype):
    """The same float32 arithmetic as on the CPU, so at most one rounding apart after one step."""
    starts, gradients = draw(SHAPES, 1, dtype)
    here = path(case, starts, gradients, "loop")
    there = path(case, starts, gradients, executor, "cuda")
    for p, q in zip(here, there, strict=True):
        p, q = torch.from_numpy(p), torch.from_numpy(q)
        torch.testing.assert_close(p, q, rtol=torch.finfo(dtype).eps, atol=1e-7)


def parameters(device, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [
        Parameter((0.1 * torch.randn(shape, generator=generator)).to(device, dtype))
        for shape in SHAPES
    ]


def take(optimizer, t):
    generator = torch.Generator().manual_seed(t)
    for group in optimizer.param_groups:
        for p in group["params"]:
            p.grad = torch.randn(p.shape, generator=generator).to(p.device, p.dtype)
    optimizer.step()


def values(optimizer):
    return [p.detach().cpu() for group in optimizer.param_groups for p in group["params"]]


def assert_same_path(optimizer, other):
    moved = [(p - start).abs().max() for p, start in zip(values(other), starts(), strict=True)]
    for p, q, far in zip(values(optimizer), values(other), moved, strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=2e-5 * far.item())


def starts():
    return [p.detach() for p in parameters("cpu")]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("case", RULES, ids=str)
def test_state_goes_from_device_to_device(case, executor):
    settings = case.settings | EXECUTORS[executor]
    first, whole = (case.make(parameters("cpu"), **settings) for _ in range(2))
    for t in range(3):
        take(first, t)
    second = case.make([Parameter(p.cuda()) for p in values(first)], **settings)
    second.load_state_dict(first.state_dict())
    for t in range(3, 6):
        take(second, t)
    third = case.make([Parameter(p) for p in values(second)], **settings)
    third.load_state_dict(copy.deepcopy(second.state_dict()))
    for state in second.state.values():
        assert {v.device.type for v in state.values() if isinstance(v, torch.Tensor)} <= {"cuda"}
    for t in range(9):
        take(whole, t)
    for t in range(6, 9):
        take(third, t)
    assert_same_path(third, whole)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("case", RULES, ids=str)
def test_one_optimizer_for_parameters_on_two_devices(case, executor):
    """And in two dtypes: each is treated as if it were alone."""
    settings = case.settings | EXECUTORS[executor]
    mixed = [
        p.to("cuda" if i % 2 else "cpu").detach().requires_grad_()
        for i, p in enumerate(parameters("cpu"))
    ]
    mixed, plain = case.make(mixed, **settings), case.make(parameters("cpu"), **settings)
    for t in range(5):
        take(mixed, t)
        take(plain, t)
    assert_same_path(mixed, plain)


@pytest.mark.parametrize("case", RULES, ids=str)
def test_memory_that_is_not_aligned(case):
    """A parameter may begin anywhere in a larger tensor."""

    def shifted(device):
        whole = 0.1 * torch.randn(6001, generator=torch.Generator().manual_seed(0))
        return [whole.to(device)[1:].requires_grad_()]

    compiled_one = case.make(shifted("cuda"), **case.settings, compile=True)
    plain = case.make(shifted("cpu"), **case.settings)
    [start] = (p.clone() for p in values(plain))
    for t in range(3):
        take(compiled_one, t)
        take(plain, t)
    [p], [q] = values(compiled_one), values(plain)
    torch.testing.assert_close(p, q, rtol=0, atol=2e-5 * (q - start).abs().max().item())


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("case", RULES, ids=str)
def test_a_step_never_waits_for_the_device(case, executor):
    optimizer = case.make(parameters("cuda"), **case.settings, **EXECUTORS[executor])
    take(optimizer, 0)
    take(optimizer, 1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("case", RULES, ids=str)
def test_a_kernel_is_compiled_once_for_a_schedule(case):
    from torch._dynamo.utils import counters

    optimizers = case.make(parameters("cuda"), compile=True), case.make(parameters("cuda"))
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(o, 200) for o in optimizers]
    graphs = None
    for t in range(200):
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            take(optimizer, t)
            schedule.step()
        graphs = graphs or counters["stats"]["unique_graphs"]
    assert counters["stats"]["unique_graphs"] == graphs
    assert_same_path(*optimizers)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("case", RULES, ids=str)
def test_scaled_gradients(case, executor):
    """GradScaler unscales, and leaves out a step whose gradients have overflowed."""
    settings = case.settings | EXECUTORS[executor]
    scaled, plain = (case.make(parameters("cuda"), **settings) for _ in range(2))
    scaler = torch.amp.GradScaler("cuda", init_scale=1024.0)
    for t in range(4):
        generator = torch.Generator().manual_seed(t)
        for p, q in zip(*(o.param_groups[0]["params"] for o in (scaled, plain)), strict=True):
            g = torch.randn(p.shape, generator=generator).cuda()
            scaler.scale((p * g).sum()).backward()
            q.grad = g
        if t == 2:
            scaled.param_groups[0]["params"][0].grad[0, 0] = torch.inf
        else:
            plain.step()
        scaler.step(scaled)
        scaler.update()
        scaled.zero_grad()
    assert_same_path(scaled, plain)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("case", RULES, ids=str)
def test_a_cuda_graph_is_refused(case, executor):
    """Its step counts in Python, which a graph would not repeat."""
    optimizer = case.make(parameters("cuda"), **case.settings, **EXECUTORS[executor])
    take(optimizer, 0)
    before = values(optimizer)
    refused = pytest.raises(RuntimeError, match="cannot be captured in a CUDA graph")
    with refused, torch.cuda.graph(torch.cuda.CUDAGraph()):
        optimizer.step()
    torch.cuda.synchronize()
    assert all(torch.equal(p, q) for p, q in zip(values(optimizer), before, strict=True))
