"""What an observer sees, and that it changes nothing."""

import math
from typing import ClassVar

import pytest
import torch
from suite import ALL, assert_same, fresh, leaves, parameters, take
from torch.nn import Parameter

import optim
from optim.observation import observations_of
from optim.operands import real

every_optimizer = pytest.mark.parametrize(
    "make", [*ALL, torch.optim.AdamW], ids=lambda make: make.__name__
)


@every_optimizer
def test_an_observer_sees_the_step_and_changes_nothing(make):
    plain, watched = (make(fresh(torch.float64), weight_decay=0.0) for _ in range(2))
    with optim.Observer(watched) as seen:
        for t in range(5):
            before = [p.clone() for p in parameters(plain)]
            take(plain, range(t, t + 1))
            take(watched, range(t, t + 1))
            moved = [p - q for p, q in zip(parameters(plain), before, strict=True)]
            mean = torch.cat([m.reshape(-1) for m in moved]).abs().mean().item()
            assert seen.mean_abs_step == pytest.approx(mean, rel=1e-9)
    assert_same(watched, plain)
    take(watched, range(5, 6))
    assert seen.mean_abs_step == pytest.approx(mean, rel=1e-9)


@every_optimizer
def test_decoupled_decay_is_no_part_of_the_step(make):
    plain = make(fresh(torch.float64), weight_decay=0.0)
    if "decoupled" in plain.defaults:
        decayed = make(fresh(torch.float64), weight_decay=0.1, decoupled=True)
    elif make is torch.optim.AdamW:
        decayed = make(fresh(torch.float64), weight_decay=0.1)
    else:
        pytest.skip("has no decoupled decay")
    with optim.Observer(plain) as one, optim.Observer(decayed) as other:
        for t in range(5):
            take(plain, range(t, t + 1))
            take(decayed, range(t, t + 1))
            assert other.mean_abs_step == pytest.approx(one.mean_abs_step, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (torch.optim.Adam, {"amsgrad": True}),
        (optim.Padam, {}),
        (optim.LaProp, {"amsgrad": True}),
        (optim.LaProp, {"amsgrad": "corrected"}),
        (optim.MAdam, {"amsgrad": True}),
        (optim.MAdam, {"amsgrad": "torch"}),
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
            kept.append(seen.values["optim/kept"][p].tolist())
    assert kept[0] == [False, False]
    assert kept[1] == [True, False]
    assert kept[2] == [True, True]
    assert kept[3] == [False, False]


@pytest.mark.parametrize(
    ("p", "dtype", "smallest"),
    [
        # The p-th roots of 2^-126 and, in float64, of 2^-1022.
        (6, torch.float32, 2.0**-21),
        (2, torch.float32, 2.0**-63),
        (6, torch.float64, 2.0 ** (-1022 / 6)),
        # Its state is float32.
        (12, torch.float16, 2.0**-10.5),
    ],
)
@pytest.mark.parametrize("form", ["root", "power"])
def test_observer_tells_which_powers_underflow(p, dtype, smallest, form):
    theta = Parameter(torch.zeros(5, dtype=dtype))
    optimizer = optim.LpAdam([theta], p=p, form=form)
    shares = torch.tensor([0.0, 0.98, -0.98, 1.02, 1e-3], dtype=torch.float64)
    theta.grad = (shares * smallest).to(dtype)
    with optim.Observer(optimizer) as seen:
        optimizer.step()
    # A gradient of 0 has lost nothing.
    assert seen.values["optim/underflow"][theta].tolist() == [False, True, True, False, True]


@pytest.mark.parametrize("make", [torch.optim.Adam, optim.LpAdaGrad, optim.LaProp])
def test_only_lp_adam_is_asked_for_underflow(make):
    optimizer = make(fresh())
    with optim.Observer(optimizer) as seen:
        take(optimizer, range(1))
    assert "optim/underflow" not in {**seen.values, **seen.metrics()}


def test_nothing_has_moved_where_nothing_stepped():
    theta = Parameter(torch.ones(3))
    optimizer = optim.LpAdam([theta])
    with optim.Observer(optimizer) as seen:
        assert seen.mean_abs_step == 0
        optimizer.step()
        assert (seen.mean_abs_step, seen.values) == (0, {"optim/underflow": {}})
        assert seen.metrics() == {"optim/mean_abs_step": 0}
        theta.grad = torch.ones(3)
        optimizer.step()
        assert seen.mean_abs_step > 0
        assert seen.metrics() == {"optim/mean_abs_step": seen.mean_abs_step, "optim/underflow": 0}


def test_means_are_over_all_elements_and_counts_are_kept():
    parameters = [Parameter(torch.zeros(n)) for n in (1, 3)]
    optimizer = Counting(parameters, lr=0.1)
    with optim.Observer(optimizer) as seen:
        for _ in range(2):
            for p in parameters:
                p.grad = torch.full_like(p, len(p))
            optimizer.step()
        metrics = seen.metrics()
    assert metrics["mine/gradient"] == (1 + 3 * 3) / 4
    assert metrics["mine/steps"].tolist() == [2, 2]
    # What was counted before is told of also where nothing had a gradient, or the step is skipped.
    optimizer.zero_grad()
    with optim.Observer(optimizer) as seen:
        assert seen.metrics().keys() == {"optim/mean_abs_step", "mine/steps"}
        optimizer.step()
        assert seen.metrics()["mine/steps"].tolist() == [3, 3]


class Counting(torch.optim.SGD):
    """Of somebody else: it declares what it tells."""

    observations: ClassVar = {
        "mine/gradient": optim.Observation("mean gradient", lambda _, p, __: p.grad, before=True),
        "mine/steps": optim.Observation("steps", lambda self, p, _: self.steps, each=True),
    }

    steps = torch.zeros(1)

    def step(self, closure=None):
        super().step(closure)
        self.steps = self.steps + 1


@pytest.mark.parametrize("make", [torch.optim.AdamW, type("Mine", (torch.optim.Adam,), {})])
def test_an_optimizer_that_declares_nothing_is_looked_at_as_torchs(make):
    for amsgrad in (False, True):
        optimizer = make(fresh(), amsgrad=amsgrad)
        with optim.Observer(optimizer) as seen:
            take(optimizer, range(1))
        assert ("optim/kept" in seen.metrics()) is amsgrad
        assert observations_of(optimizer)["optim/kept"].label == "share of kept maxima"


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_padam_tells_quantiles_of_the_effective_rate(variant):
    """What multiplies m: steps of the elements that are sampled, divided by it."""
    shapes = ((61, 60), (61, 40), (3,))
    optimizer = optim.Padam(
        [Parameter(torch.zeros(shape, dtype=torch.float64)) for shape in shapes],
        lr=0.3,
        betas=(0.0, 0.9),
        eps=0.0,
        weight_decay=0.0,
        variant=variant,
    )
    g = [
        torch.arange(1, math.prod(shape) + 1, dtype=torch.float64).view(shape) / 100
        for shape in shapes
    ]
    g[2][0] = 0.0  # has no rate
    with optim.Observer(optimizer) as seen:
        for _ in range(2):
            before = [p.detach().clone() for p in leaves(optimizer)]
            for p, each in zip(leaves(optimizer), g, strict=True):
                p.grad = each.clone()
            optimizer.step()
        found = seen.metrics()
    moved = zip(before, leaves(optimizer), g, strict=True)
    # Every column of a matrix of 60 is among them.
    assert {number % 60 for number in range(0, 61 * 60, 61)} == {*range(60)}
    rates = torch.cat([((b - p.detach()) / each).flatten()[::61] for b, p, each in moved])
    rates = rates[rates.isfinite()].sort().values
    assert len(rates) == 100
    for name, rank in (("low", 1), ("median", 50), ("high", 99)):
        assert found[f"optim/rate_{name}"] == pytest.approx(rates[rank - 1].item())
    # Plain numbers for the last step: v̂ is 0.19·g², and the authors' factor √0.19 with β1 = 0.
    factor = 0.19**0.5 if variant == "authors" else 1.0
    assert rates.max().item() == pytest.approx(0.3 * factor / (0.19 * 0.01**2) ** 0.125)


def test_padam_tells_no_rate_where_nothing_has_one():
    optimizer = optim.Padam([Parameter(torch.zeros(3))], weight_decay=0.0)
    with optim.Observer(optimizer) as seen:
        optimizer.param_groups[0]["params"][0].grad = torch.zeros(3)
        optimizer.step()
    assert not {"optim/rate_low", "optim/rate_median", "optim/rate_high"} & seen.metrics().keys()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize(
    "settings", [{}, {"maximize": True}, {"weight_decay": 0.1, "decoupled": False}], ids=str
)
def test_the_beta_that_is_seen_is_the_one_that_the_step_uses(settings, dtype):
    optimizer = optim.MAdam(fresh(dtype), **settings)
    take(optimizer, range(3))
    before = [real(optimizer.state[p]["w"]).clone() for p in leaves(optimizer)]
    with optim.Observer(optimizer) as seen:
        take(optimizer, range(3, 4))
    for p, w in zip(leaves(optimizer), before, strict=True):
        beta = seen.values["optim/beta"][p]
        torch.testing.assert_close(beta * w + (1 - beta), real(optimizer.state[p]["w"]))


def test_several_optimizers_are_seen_as_one():
    """What each tells is of its own parameters, and the step is a mean over those of all."""
    first, second = fresh(), fresh()
    both = [optim.MAdam(first, weight_decay=0.1), torch.optim.AdamW(second, amsgrad=True)]
    with optim.Observer(*both) as seen:
        for optimizer in both:
            take(optimizer, range(2))
        together = seen.metrics()
    apart = []
    for optimizer in (
        optim.MAdam(fresh(), weight_decay=0.1),
        torch.optim.AdamW(fresh(), amsgrad=True),
    ):
        with optim.Observer(optimizer) as alone:
            take(optimizer, range(2))
        apart.append(alone.metrics())
    step = "optim/mean_abs_step"
    assert together[step] == pytest.approx((apart[0][step] + apart[1][step]) / 2)
    assert together["optim/beta"] == apart[0]["optim/beta"]
    assert together["optim/kept"] == apart[1]["optim/kept"]


class Calling(torch.optim.SGD):
    """A step that calls its parent's, which torch lets hooks see as well."""

    def step(self, closure=None):
        return super().step(closure)


def test_a_step_that_calls_another_is_seen_whole():
    plain, calling = torch.optim.SGD(fresh(), lr=0.1), Calling(fresh(), lr=0.1)
    steps = []
    for optimizer in (plain, calling):
        with optim.Observer(optimizer) as seen:
            take(optimizer, range(2))
        steps.append(seen.mean_abs_step)
    assert steps[0] == steps[1] > 0
