"""What every optimizer of torch's kind does, whichever its rule and however it is run.

The suite runs over torch.optim.Adam too: what it asks for, torch's own do.
"""

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from cases import EXECUTORS, RULES
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer, lr_scheduler

import optim

OURS = [case.make for case in RULES]
ALL = [*OURS, torch.optim.Adam]
FAST = ["loop", "foreach"]
EXECUTOR_MARKS = [*FAST, pytest.param("compile", marks=pytest.mark.slow)]
COMMON: list[dict[str, Any]] = [
    {},
    {"lr": 1e-2, "weight_decay": 0.1},
    {"lr": 1e-2, "maximize": True},
    {"lr": torch.tensor(1e-2), "weight_decay": 0.01},
]
OWN: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (optim.LpAdam, {"p": 1.2}),
    (optim.LpAdam, {"p": 6, "form": "power"}),
    (optim.LpAdam, {"p": 3, "weight_decay": 0.1, "decoupled": True}),
    (optim.LaProp, {"betas": (0.9, 0.0), "variant": "authors"}),
    (optim.LaProp, {"amsgrad": True, "centered": True, "centered_after": 2}),
    (optim.SignSGDM, {"momentum": 0.0}),
    (optim.Padam, {"partial": 0.5, "variant": "authors"}),
    (optim.MAdam, {"betas": (0.0, (0.5, 1.0)), "beta_init": 0.9, "amsgrad": True}),
    (optim.LaMAdam, {"betas": [0.9, [0.5, 0.98]]}),  # as YAML has it
    (optim.AdaBound, {"final_lr": 0.5, "gamma": 0.1}),
    (optim.Yogi, {"initial": 0.1}),
    (torch.optim.Adam, {"amsgrad": True}),
]
INPUTS = [(make, common) for make in ALL for common in COMMON] + OWN

every_optimizer = pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
every_own = pytest.mark.parametrize("make", OURS, ids=lambda make: make.__name__)
every_input = pytest.mark.parametrize(("make", "inputs"), INPUTS, ids=str)
every_executor = pytest.mark.parametrize("executor", EXECUTOR_MARKS)


def way(make: type[Optimizer], executor: str) -> dict[str, Any]:
    # torch's Adam has no option of its own to compile.
    return {} if make is torch.optim.Adam and executor == "compile" else EXECUTORS[executor]


def fresh(dtype: torch.dtype = torch.float32) -> list[Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (5,), (1,), ()]
    return [Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in shapes]


def gradient(p: Tensor, t: int) -> Tensor:
    generator = torch.Generator().manual_seed(100 * t + p.numel())
    real = torch.randn(2, *p.shape, generator=generator)
    drawn = torch.complex(real[0], real[1]) if p.is_complex() else real[0]
    return drawn.to(p.dtype)


def take(optimizer: Optimizer, steps: range) -> None:
    for t in steps:
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = gradient(p, t)
        optimizer.step()


def parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p.detach() for group in optimizer.param_groups for p in group["params"]]


def assert_same(a: Optimizer, b: Optimizer, tolerance: float = 0.0) -> None:
    for p, q in zip(parameters(a), parameters(b), strict=True):
        torch.testing.assert_close(p, q, rtol=tolerance, atol=tolerance)


def through_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


# -- steps -----------------------------------------------------------------------------------------


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


SCHEDULERS = [
    lambda o: lr_scheduler.LambdaLR(o, lambda t: 0.5**t),
    lambda o: lr_scheduler.CosineAnnealingLR(o, 8),
    lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=8),
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


# -- states ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", EXECUTOR_MARKS)
@pytest.mark.parametrize("source", EXECUTOR_MARKS)
@every_input
def test_state_goes_from_any_way_to_run_to_any(make, inputs, source, target):
    whole = make(fresh(), **copy.deepcopy(inputs), **way(make, source))
    take(whole, range(3))
    state = through_file(whole.state_dict())
    resumed = make(fresh(), **copy.deepcopy(inputs), **way(make, target))
    with torch.no_grad():
        for p, q in zip(parameters(resumed), parameters(whole), strict=True):
            p.copy_(q)
    resumed.load_state_dict(state)
    take(whole, range(3, 6))
    take(resumed, range(3, 6))
    assert_same(resumed, whole, 0.0 if source == target else 1e-6)
    assert whole.state_dict()["state"].keys() == resumed.state_dict()["state"].keys()
    if make in OURS:
        for name, value in way(make, target).items():
            assert resumed.param_groups[0][name] == value


@every_own
def test_state_dicts_look_like_torchs(make):
    optimizer, model = make(fresh()), torch.optim.Adam(fresh())
    take(optimizer, range(2))
    take(model, range(2))
    state, wanted = optimizer.state_dict(), model.state_dict()
    assert state.keys() == wanted.keys()
    assert state["state"].keys() == wanted["state"].keys()
    assert state["param_groups"][0]["params"] == wanted["param_groups"][0]["params"]
    assert all(float(s["step"]) == 2 for s in state["state"].values())


@every_own
def test_a_loaded_state_is_a_copy(make):
    optimizer, other = make(fresh()), make(fresh())
    take(optimizer, range(2))
    kept = copy.deepcopy(optimizer.state_dict())
    other.load_state_dict(optimizer.state_dict())
    take(other, range(2, 4))
    now = optimizer.state_dict()["state"]
    for key, values in kept["state"].items():
        for name, value in values.items():
            torch.testing.assert_close(now[key][name], value, rtol=0, atol=0)


@every_own
def test_loading_keeps_the_precision_of_state(make):
    optimizer, other = make(fresh(torch.bfloat16)), make(fresh(torch.bfloat16))
    take(optimizer, range(5))
    other.load_state_dict(through_file(optimizer.state_dict()))
    for p, q in zip(fresh_of(optimizer), fresh_of(other), strict=True):
        for name, value in optimizer.state[p].items():
            torch.testing.assert_close(other.state[q][name], value, rtol=0, atol=0)


@every_own
def test_state_moves_to_another_dtype(make):
    optimizer, other = make(fresh(torch.bfloat16)), make(fresh(torch.float64))
    take(optimizer, range(2))
    other.load_state_dict(optimizer.state_dict())
    take(other, range(2, 4))
    p = fresh_of(other)[0]
    assert all(v.dtype == torch.float64 for v in other.state[p].values() if torch.is_tensor(v))


def fresh_of(optimizer: Optimizer) -> list[Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


@every_optimizer
def test_options_that_an_older_state_lacks_are_filled_in(make):
    optimizer, whole = make(fresh()), make(fresh())
    take(optimizer, range(2))
    take(whole, range(4))
    state = optimizer.state_dict()
    for name in ("maximize", "foreach", "compile", "decoupled", "variant", "form", "first_lr"):
        state["param_groups"][0].pop(name, None)
    for values in state["state"].values():
        values["step"] = torch.tensor(float(values["step"]))
    optimizer.load_state_dict(state)
    take(optimizer, range(2, 4))
    assert_same(optimizer, whole, 1e-6)


@every_optimizer
def test_loading_what_does_not_fit_is_refused(make):
    with pytest.raises(ValueError, match="different number of parameter groups"):
        make(fresh()).load_state_dict(make([{"params": [p]} for p in fresh()]).state_dict())
    with pytest.raises(ValueError, match="doesn't match the size"):
        make(fresh()).load_state_dict(make(fresh()[:2]).state_dict())


@pytest.mark.parametrize("how", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
@every_executor
@every_optimizer
def test_copies_go_on_alike(make, executor, how):
    optimizer = make(fresh(), **way(make, executor))
    take(optimizer, range(2))
    twin = how(optimizer)
    take(optimizer, range(2, 4))
    assert not torch.equal(parameters(optimizer)[0], parameters(twin)[0])
    take(twin, range(2, 4))
    assert_same(twin, optimizer)
    assert twin.param_groups[0]["foreach"] == optimizer.param_groups[0]["foreach"]


@every_own
def test_load_hooks_are_heeded(make):
    optimizer, other = make(fresh()), make(fresh())
    take(optimizer, range(1))

    def zeroed(_, state):
        state = copy.deepcopy(state)
        for values in state["state"].values():
            values["m"].zero_()
        return state

    other.register_load_state_dict_pre_hook(zeroed)
    other.load_state_dict(optimizer.state_dict())
    assert all((other.state[p]["m"] == 0).all() for p in fresh_of(other))
    assert any((optimizer.state[p]["m"] != 0).any() for p in fresh_of(optimizer))


# -- refusals --------------------------------------------------------------------------------------


@every_executor
@every_optimizer
def test_sparse_gradients_are_refused(make, executor):
    dense, sparse = Parameter(torch.ones(2)), Parameter(torch.ones(3))
    optimizer = make([dense, sparse], **way(make, executor))
    dense.grad = torch.ones(2)
    sparse.grad = torch.sparse_coo_tensor([[0]], [1.0], (3,), check_invariants=True)
    with pytest.raises(RuntimeError, match=f"{make.__name__} does not support sparse gradients"):
        optimizer.step()
    assert all((p == 1).all() for p in parameters(optimizer))


BAD: list[tuple[Any, dict[str, Any], str]] = [
    *[(make, {"lr": -1e-2}, "Invalid learning rate: -0.01") for make in ALL],
    *[(make, {"weight_decay": -1.0}, "Invalid weight_decay value: -1.0") for make in ALL],
    *[
        (make, {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0: 1.0")
        for make in ALL
        if make not in (optim.SignSGDM, optim.MAdam, optim.LaMAdam)
    ],
    *[
        (make, {"eps": -1.0}, "Invalid epsilon value: -1.0")
        for make in ALL
        if make is not optim.SignSGDM
    ],
    *[(make, {"lr": torch.ones(2)}, "must have 1 element") for make in OURS],
    *[(make, {"lr": float("nan")}, "Invalid learning rate: nan") for make in OURS],
    *[(make, {"foreach": True, "compile": True}, "cannot be `True` together") for make in OURS],
    (optim.LpAdam, {"betas": (0.9, 1.0)}, "Invalid beta parameter at index 1: 1.0"),
    (optim.LpAdam, {"betas": (0.9, 0.5)}, r"beta1 < beta2\*\*\(1/p\) must hold"),
    (optim.LpAdam, {"betas": (0.9,)}, "must be two numbers"),
    (optim.LpAdam, {"p": 0}, "Invalid p value: 0"),
    (optim.LpAdam, {"p": float("inf")}, "Invalid p value: inf"),
    (optim.LpAdam, {"form": "cube"}, "Invalid form: cube, must be one of root, power"),
    (optim.LaProp, {"variant": "mine"}, "Invalid variant: mine"),
    (optim.LaProp, {"centered_after": 0}, "Invalid centered_after value: 0"),
    (optim.LaProp, {"weight_decay": 1.5}, "Invalid weight_decay value: 1.5"),
    (optim.SignSGDM, {"momentum": 1.0}, "Invalid momentum value: 1.0"),
    (optim.Padam, {"partial": 0.0}, "Invalid partial value: 0.0"),
    (optim.Padam, {"partial": 0.75}, "Invalid partial value: 0.75"),
    (optim.MAdam, {"betas": (0.9, 0.999)}, r"must be \(alpha, \(beta_lo, beta_hi\)\)"),
    (optim.MAdam, {"betas": (0.9, (0.9, 0.5))}, r"Invalid beta parameter at index 1: \(0.9, 0.5\)"),
    (optim.MAdam, {"betas": (1.0, (0.5, 0.9))}, "Invalid beta parameter at index 0: 1.0"),
    (optim.MAdam, {"betas": (0.9, (0.5, 1.0))}, "Invalid beta_init value: 1.0"),
    (optim.LaMAdam, {"beta_init": 1.0}, "Invalid beta_init value: 1.0"),
    (optim.AdaBound, {"gamma": 0.0}, "Invalid gamma value: 0.0"),
    (optim.AdaBound, {"final_lr": -1.0}, "Invalid final_lr value: -1.0"),
    (optim.Yogi, {"initial": -1.0}, "Invalid initial value: -1.0"),
]


@pytest.mark.parametrize(("make", "settings", "message"), BAD)
def test_bad_settings_are_refused(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(fresh(), **settings)


@every_own
def test_bad_settings_of_a_group_are_refused(make):
    optimizer = make(fresh()[:1])
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        optimizer.add_param_group({"params": fresh()[1:], "lr": -1})
    assert len(optimizer.param_groups) == 1


# -- the observer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.1}])
@pytest.mark.parametrize("make", [*ALL, torch.optim.AdamW], ids=lambda make: make.__name__)
def test_observer_sees_the_step_and_changes_nothing(make, settings):
    plain = make(fresh(torch.float64), **settings)
    watched = make(fresh(torch.float64), **settings)
    with optim.Observer(watched) as seen:
        take(watched, range(4))
    take(plain, range(4))
    assert_same(watched, plain)
    group = plain.param_groups[0]
    decoupled = group.get("decoupled") or group.get("decoupled_weight_decay")
    before = [p.clone() for p in parameters(plain)]
    with optim.Observer(plain) as seen:
        take(plain, range(4, 5))
    moved = [q - p for p, q in zip(before, parameters(plain), strict=True)]
    if not decoupled or group["weight_decay"] == 0:
        mean = torch.cat([m.reshape(-1) for m in moved]).abs().mean().item()
        assert seen.mean_abs_step == pytest.approx(mean, rel=1e-9)
    else:
        # Decay makes no difference: the parameters' own scale is 1, and so would its part be.
        assert 0 < seen.mean_abs_step < 3 * float(group["lr"])
    take(plain, range(5, 6))
    assert not plain._optimizer_step_pre_hooks


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (torch.optim.Adam, {"amsgrad": True}),
        (optim.Padam, {}),
        (optim.LaProp, {"amsgrad": True}),
        (optim.MAdam, {"amsgrad": True}),
    ],
)
def test_observer_tells_which_maxima_are_kept(make, settings):
    p = Parameter(torch.zeros(2))
    optimizer = make([p], **settings)
    kept = []
    with optim.Observer(optimizer) as seen:
        for g in ([1.0, 1.0], [0.0, 2.0], [0.0, 0.0], [2.0, 8.0]):
            p.grad = torch.tensor(g)
            optimizer.step()
            kept.append(seen.kept[p].tolist())
    assert kept[0] == [False, False]
    assert kept[1] == [True, False]
    assert kept[2] == [True, True]
    assert kept[3] == [False, False]


# -- how rows are cut ------------------------------------------------------------------------------


def test_batches_hold_every_element_once_and_few_at_a_time(monkeypatch):
    monkeypatch.setattr(optim.executors, "BATCH", 100)
    shapes = [(30,), (60,), (30,), (7, 50), (1000,), (4,)]
    counted = [torch.zeros(shape) for shape in shapes]
    counted.append(torch.zeros(50, 40).t())
    counted.append(torch.zeros(8, 3, 5, 5).contiguous(memory_format=torch.channels_last))
    sizes = []
    for batch in optim.executors.batches([[t] for t in counted]):
        sizes.append(sum(row[0].numel() for row in batch))
        for (piece,) in batch:
            piece += 1
    assert all((t == 1).all() for t in counted)
    assert max(sizes) <= 100
    assert len(sizes) < 1.5 * sum(t.numel() for t in counted) / 100
