"""What a step of every optimizer does, whichever its rule and however it is run."""

import copy

import pytest
import torch
from cases import EXECUTORS
from suite import (
    assert_same,
    every_executor,
    every_input,
    every_optimizer,
    every_own,
    fresh,
    gradient,
    parameters,
    take,
    way,
)
from torch import Tensor
from torch.nn import Parameter
from torch.optim import lr_scheduler

import optim


@every_executor
@every_input
def test_it_goes_down(make, inputs, executor):
    inputs = copy.deepcopy(inputs)
    model = torch.nn.Linear(10, 5)
    torch.nn.init.ones_(model.weight)
    optimizer = make(model.parameters(), **inputs, **way(make, executor))
    x = torch.linspace(-1, 1, 40).reshape(4, 10)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss = -loss if inputs.get("maximize") else loss
        loss.backward()
        return loss

    first = closure().item()
    sign = -1 if inputs.get("maximize") else 1
    for _ in range(20):
        loss = optimizer.step(closure)
    assert sign * loss.item() < sign * first


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@every_executor
@every_own
def test_all_ways_to_run_agree(make, executor, dtype):
    reference = make(fresh(dtype), foreach=False)
    optimizer = make(fresh(dtype), **EXECUTORS[executor])
    take(reference, range(10))
    take(optimizer, range(10))
    tolerance = {torch.float64: 1e-9, torch.float32: 1e-6}.get(dtype, 2 * torch.finfo(dtype).eps)
    assert_same(optimizer, reference, tolerance)
    for p in (p for group in optimizer.param_groups for p in group["params"]):
        assert p.dtype == dtype
        tensors = [value for value in optimizer.state[p].values() if torch.is_tensor(value)]
        assert all(t.dtype == torch.promote_types(dtype, torch.float32) for t in tensors)
        assert all(t.shape == p.shape for t in tensors)


@every_own
def test_low_precision_rounds_once_a_step(make):
    low, high = make(fresh(torch.bfloat16)), make(fresh())
    for t in range(10):
        for p, q in zip(parameters(low), parameters(high), strict=True):
            q.copy_(p)
        for p, q in zip(low.param_groups[0]["params"], high.param_groups[0]["params"], strict=True):
            p.grad = gradient(p, t)
            q.grad = p.grad.float()
        low.step()
        high.step()
        for p, q in zip(parameters(low), parameters(high), strict=True):
            assert torch.equal(p, q.bfloat16())


@every_executor
@every_optimizer
def test_complex_is_a_pair_of_reals(make, executor):
    z = Parameter(torch.randn(4, 3, dtype=torch.complex64))
    pair = Parameter(torch.view_as_real(z.detach()).clone())
    optimizers = [make([p], **way(make, executor)) for p in (z, pair)]
    for t in range(10):
        z.grad = gradient(z, t)
        pair.grad = torch.view_as_real(z.grad).clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(torch.view_as_real(z.detach()), pair.detach())


LAYOUTS = {
    "transposed": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "every second": lambda x: torch.stack([x, x], dim=-1)[..., 0],
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("grad_layout", [None, *LAYOUTS])
@pytest.mark.parametrize("layout", LAYOUTS)
@every_executor
@every_optimizer
def test_layout_of_memory_does_not_matter(make, executor, layout, grad_layout, monkeypatch):
    monkeypatch.setattr(optim.executors, "BATCH", 50)
    x = torch.randn(6, 5, 4, 3)
    plain = make([Parameter(x.clone())], **way(make, executor))
    other = make([Parameter(LAYOUTS[layout](x))], **way(make, executor))
    for t in range(3):
        g = gradient(x, t)
        plain.param_groups[0]["params"][0].grad = g
        other.param_groups[0]["params"][0].grad = LAYOUTS[grad_layout](g) if grad_layout else g
        plain.step()
        other.step()
    assert_same(other, plain, 1e-6)
    assert not other.param_groups[0]["params"][0].is_contiguous()


@every_executor
@every_optimizer
def test_empty_and_single_elements(make, executor):
    shapes = [(0,), (3, 0), (1,), ()]
    optimizer = make([Parameter(torch.ones(shape)) for shape in shapes], **way(make, executor))
    take(optimizer, range(3))
    assert [tuple(p.shape) for p in parameters(optimizer)] == shapes
    assert all((p != 1).all() for p in parameters(optimizer))


@every_executor
@every_optimizer
def test_parameters_without_gradient_wait(make, executor):
    early, late = fresh()[:2]
    lazy = Parameter(torch.ones(3))
    optimizer = make([early, late, lazy], **way(make, executor))
    alone = make([Parameter(late.detach().clone())], **way(make, executor))
    for t in range(6):
        early.grad = gradient(early, t)
        late.grad = gradient(late, t) if t >= 3 else None
        optimizer.step()
    assert torch.equal(lazy.detach(), torch.ones(3))
    assert not optimizer.state.get(lazy)
    take(alone, range(3, 6))
    torch.testing.assert_close(late.detach(), parameters(alone)[0])
    assert float(optimizer.state[early]["step"]) == 6
    assert float(optimizer.state[late]["step"]) == 3
    optimizer.zero_grad(set_to_none=True)
    before = [p.clone() for p in parameters(optimizer)]
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(parameters(optimizer), before, strict=True))


@every_executor
@every_optimizer
def test_groups_have_their_own_settings(make, executor):
    a, b, c = fresh()[:3]
    groups = [{"params": [a]}, {"params": [b], "lr": 0.5, "weight_decay": 0.1}]
    together = make(groups, lr=1e-2, **way(make, executor))
    take(together, range(3))
    together.add_param_group({"params": [c], "lr": 0.1})
    take(together, range(3, 6))
    x, y, z = fresh()[:3]
    apart = [
        make([x], lr=1e-2, **way(make, executor)),
        make([y], lr=0.5, weight_decay=0.1, **way(make, executor)),
        make([z], lr=0.1, **way(make, executor)),
    ]
    for optimizer, first in zip(apart, (0, 0, 3), strict=True):
        take(optimizer, range(first, 6))
    for p, q in zip((a, b, c), (x, y, z), strict=True):
        torch.testing.assert_close(p.detach(), q.detach())


@every_optimizer
def test_lr_as_a_tensor(make):
    number, tensor = make(fresh(), lr=0.01), make(fresh(), lr=torch.tensor(0.01), foreach=False)
    take(number, range(5))
    take(tensor, range(5))
    assert_same(tensor, number, 1e-6)


class Read(torch.Tensor):
    """A tensor that counts how often a number is made of it, for which a GPU must be waited for."""

    times = 0

    def __float__(self):
        Read.times += 1
        return 0.01


@every_own
def test_a_tensor_lr_is_read_once_a_step(make):
    optimizer = make(fresh(), lr=torch.tensor(0.01).as_subclass(Read))
    take(optimizer, range(1))
    before = Read.times
    take(optimizer, range(1, 2))
    assert Read.times == before + 1


def has_momentum(optimizer):
    return bool({"betas", "momentum"} & optimizer.defaults.keys())


SCHEDULERS = [
    lambda o: lr_scheduler.LambdaLR(o, lambda t: 0.5**t),
    lambda o: lr_scheduler.CosineAnnealingLR(o, 8),
    lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=8, cycle_momentum=has_momentum(o)),
    lambda o: lr_scheduler.CyclicLR(o, 1e-3, 1e-2, step_size_up=2, cycle_momentum=False),
    lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o), lr_scheduler.StepLR(o, 2)], [4]
    ),
]


@pytest.mark.parametrize("scheduler", range(len(SCHEDULERS)))
@every_optimizer
def test_schedulers_are_followed(make, scheduler):
    optimizer = make(fresh())
    schedule = SCHEDULERS[scheduler](optimizer)
    by_hand = make(fresh())
    by_hand.param_groups[0].update(
        {k: v for k, v in optimizer.param_groups[0].items() if k == "first_lr"}
    )
    for t in range(8):
        for name in ("lr", "betas", "momentum"):
            if name in optimizer.param_groups[0]:
                by_hand.param_groups[0][name] = optimizer.param_groups[0][name]
        take(optimizer, range(t, t + 1))
        take(by_hand, range(t, t + 1))
        schedule.step()
    assert_same(optimizer, by_hand)


@every_optimizer
def test_grad_scaler(make):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaled, plain = make(fresh()), make(fresh())
    for t in range(4):
        for p in scaled.param_groups[0]["params"]:
            p.grad = gradient(p, t) * scaler.get_scale()
        if t == 2:
            scaled.param_groups[0]["params"][0].grad[0, 0] = torch.inf
        scaler.scale(torch.zeros(()))  # the scaler wants to have been used
        scaler.step(scaled)
        scaler.update()
        if t != 2:
            take(plain, range(t, t + 1))
    assert_same(scaled, plain, 1e-6)


@every_optimizer
def test_hooks_around_a_step(make):
    heard = []
    optimizer = make(fresh())
    optimizer.register_step_pre_hook(lambda *_: heard.append("before"))
    optimizer.register_step_post_hook(lambda *_: heard.append("after"))
    take(optimizer, range(1))
    assert heard == ["before", "after"]
    assert make.__name__ in repr(optimizer)


def test_batches_hold_every_element_once_and_few_at_a_time():
    shapes = [(30,), (60,), (30,), (7, 50), (1000,), (4,)]
    counted = [torch.zeros(shape) for shape in shapes]
    counted.append(torch.zeros(50, 40).t())
    counted.append(torch.zeros(8, 3, 5, 5).contiguous(memory_format=torch.channels_last))
    sizes = []
    for batch in optim.executors.batches([[t] for t in counted], size=100):
        sizes.append(sum(chunk.numel() for (chunk,) in batch))
        for (chunk,) in batch:
            chunk += 1
    assert all((t == 1).all() for t in counted)
    assert max(sizes) <= 100
    assert len(sizes) < 1.5 * sum(t.numel() for t in counted) / 100
