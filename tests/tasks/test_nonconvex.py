"""The nonconvex problem of known constants, and Padam's theorem 4.3 by hand."""

import math
from pathlib import Path

import pytest
import torch
from test_trials import CPU, gradient, put

from engine.checks import BadInput
from engine.config import compose
from optim import Padam
from tasks import Nonconvex

BUDGET = {"trials": 3, "steps": 40, "eval_every": 5, "seed": 0, "root": Path("nowhere")}
PROBLEM = {"dimensions": 2, "first": 1.0, "noise": 0.25, "scales": [1.0], "odds": [1]}
SPARSE = {"scales": [1.0, 0.01], "odds": [1, 19]}
METHOD = {"lr": 0.1, "beta1": 0.5, "beta2": 0.96, "partial": 0.25}
STEEPEST = 0.649519052838329  # 3√3/8


def nonconvex(**changes):
    how = {"schedule": "optim.schedules.constant", "device": CPU}
    return Nonconvex(**BUDGET | PROBLEM | METHOD | how | changes)


def follow(task, steps=40):
    """Train with Padam's algorithm 1; the θ and the stochastic gradients of every step."""
    optimizer = Padam(
        task.model.parameters(),
        lr=task.lr,
        betas=(task.beta1, task.beta2),
        eps=0.0,
        weight_decay=0.0,
        partial=task.partial,
        variant="paper",
    )
    places, gradients = [], []
    for step in range(steps):
        places.append(task.theta.clone())
        optimizer.zero_grad()
        task.loss(task.batch(step)).backward()
        gradients.append(task.model.theta.grad.clone())
        optimizer.step()
        task.after_step(step)
    return torch.stack(places), torch.stack(gradients)


def test_gradients_are_those_of_the_function_scaled_and_shifted():
    task = nonconvex(trials=1)
    put(task, [1.0, -2.0])
    c, sign = torch.tensor([[1.5, 0.5]]), torch.tensor([[1.0, -1.0]])
    # h' is 2x/(1 + x²)²: 1/2 and -4/25.
    wanted = [1.5 * (0.5 + 0.25), 0.5 * (-0.16 - 0.25)]
    assert gradient(task, torch.stack([c, sign])).tolist() == [pytest.approx(wanted)]
    # h is x²/(1 + x²).
    assert task.evaluate()["test/loss"].item() == pytest.approx(0.5 + 0.8)


def test_stochastic_gradients_are_unbiased_and_bounded():
    task = nonconvex(trials=200, first=1 / math.sqrt(3), **SPARSE)
    drawn = torch.stack([task.batch(step) for step in range(200)])
    found = torch.stack([gradient(task, batch) for batch in drawn])
    # c is 20 or 0.2 times 100/119; of 80,000 draws of c, the standard error is 0.013.
    assert drawn[:, 0].unique().tolist() == pytest.approx([0.2 * 100 / 119, 2000 / 119])
    assert found.mean().item() == pytest.approx(STEEPEST, abs=0.06)
    # 1/√3 is the steepest place: there is no larger gradient.
    assert found.abs().max().item() == pytest.approx(task.largest, rel=1e-12)


@pytest.mark.parametrize("first", [0.3, 1.0, 4.0])
def test_the_constants_are_those_of_the_function(first):
    """L and G∞ by a fine grid, whatever the start."""
    x = torch.linspace(-6, 6, 120_001, dtype=torch.float64, requires_grad=True)
    [slope] = torch.autograd.grad((x**2 / (1 + x**2)).sum(), x, create_graph=True)
    [curvature] = torch.autograd.grad(slope.sum(), x)
    assert slope.abs().max().item() == pytest.approx(STEEPEST, rel=1e-8)
    assert curvature.abs().max().item() == pytest.approx(2.0)
    assert nonconvex(first=first).largest == pytest.approx(STEEPEST + 0.25)


def test_the_bound_is_the_theorems_with_numbers_put_in_by_hand():
    """p = 1/4, q = 0: d = 2, L = 2, Δf = 2·h(1) = 1, G = 0.8995190528, g_1 is 0.75 or 0.25."""
    found = nonconvex().bound(100, 0.3)
    g, root = 0.8995190528383290, math.sqrt(0.96)
    # M₁ = 2·√G, and T·α = 10.
    assert found["rate/bound_start"] == pytest.approx(2 * math.sqrt(g) / 10)
    # v̂_1 = 0.04·g_1², to the power of -1/4: (0.2·0.75)^-½ and (0.2·0.25)^-½.
    inverse = (1 / math.sqrt(0.15) + 1 / math.sqrt(0.05)) / 2
    m2 = 4 * g**2.5 * inverse / 0.5 + 4 * g**2
    assert found["rate/bound_dimension"] == pytest.approx(m2 * 2 / 100)
    # (1 - β₂)^2p = 0.2, and (β₁/(1 - β₁))² = 1.
    m3 = 4 * 2 * math.sqrt(g) / 0.2 + 8 * 2 * math.sqrt(g) * 0.5 / (0.2 * (1 - 0.5 / root))
    assert found["rate/bound_rate"] == pytest.approx(m3 * 0.1 * 2 * g / 100**0.2)
    assert found["rate/bound"] == pytest.approx(
        sum(found[f"rate/bound_{term}"] for term in ("start", "dimension", "rate"))
    )


@pytest.mark.parametrize(("p", "least"), [(0.125, 0.0), (0.25, 0.0), (0.4, 0.6), (0.5, 1.0)])
@pytest.mark.parametrize("s", [0.0, 0.3, 0.5])
def test_the_bound_is_the_least_of_those_for_every_q(p, least, s):
    T, d, alpha, beta1, beta2, L = 1000, 2, 0.1, 0.5, 0.96, 2
    g = STEEPEST + 0.25

    def third(q):
        factor = L * g ** (1 + q - 2 * p) / (1 - beta2) ** (2 * p)
        momentum = 8 * factor * (1 - beta1) / (1 - beta1 / beta2 ** (2 * p))
        m3 = 4 * factor + momentum * (beta1 / (1 - beta1)) ** 2
        return m3 * alpha * d * g ** (1 - q) / T ** ((1 - q) * (0.5 - s))

    found = nonconvex(partial=p).bound(T, s)["rate/bound_rate"]
    assert found == pytest.approx(third(least))
    allowed = [least + (1 - least) * k / 10 for k in range(11)]
    assert found <= min(map(third, allowed)) * (1 + 1e-12)


def test_a_first_gradient_of_zero_leaves_no_bound_but_two_terms():
    # h'(1) = 1/2 = σ.
    found = nonconvex(noise=0.5).bound(100, 0.3)
    assert found.keys() == {"rate/bound_start", "rate/bound_rate"}


@pytest.mark.parametrize(
    "method",
    [
        {"partial": None},
        {"beta1": None},
        # β₁ < β₂^(2p) fails: 0.96 is not below 0.96.
        {"beta1": 0.96, "partial": 0.5},
        {"beta1": 0.0, "beta2": 0.0},
        # MAdam's smallest and largest beta2.
        {"beta2": [0.5, 0.96]},
    ],
)
def test_there_is_no_bound_for_other_methods(method):
    task = nonconvex(**METHOD | method)
    assert task.bound(100, 0.3) == {}


@pytest.mark.parametrize("problem", [{}, SPARSE])
def test_gradient_and_growth_are_those_of_the_path(problem):
    task = nonconvex(**problem)
    places, g = follow(task)
    slopes = 2 * places / (1 + places**2) ** 2
    found = task.evaluate()
    # Of x_2 … x_T: the first place is x_1, and where the last step led is x_(T+1).
    wanted = slopes[1:].square().sum(2).mean(0)
    torch.testing.assert_close(found["rate/gradient"], wanted)
    norm = g.square().sum(0).sqrt().max().item()
    # No s is below 0, however small the gradients are beside the largest one there may be.
    assert 40 ** found["rate/growth"] * task.largest == pytest.approx(max(norm, task.largest))
    assert (found["rate/growth"] > 0) == (problem == {})
    assert found["rate/steps"] == 40
    assert found["rate/bound"] == task.bound(40, found["rate/growth"])["rate/bound"]


def test_after_one_step_there_is_no_draw():
    task = nonconvex()
    follow(task, 1)
    assert task.evaluate().keys() == {"test/loss", "rate/steps"}


def test_gradients_that_vanish_have_no_growth():
    task = nonconvex(first=10.0, noise=0.0)
    follow(task, 2)
    assert task.evaluate()["rate/growth"] == 0


def test_the_bound_holds_of_the_mean_over_trials():
    for partial in (0.0625, 0.25, 0.5):
        task = nonconvex(trials=50, partial=partial, lr=0.01)
        follow(task, 300)
        found = task.evaluate()
        assert found["rate/gradient"].mean() < found["rate/bound"]


def test_odds_must_be_as_many_as_scales():
    with pytest.raises(ValueError, match=r"^task.odds=\[1\]: must be as long as task.scales="):
        nonconvex(scales=[1.0, 2.0], odds=[1])


@pytest.mark.parametrize("scales", ["[]", "[0.0]", "[-1.0,1.0]"])
def test_scales_are_above_zero(scales):
    with pytest.raises(BadInput, match=r"^task.scales=.*: must be a list of numbers above 0$"):
        compose(["task=nonconvex", f"task.scales={scales}"])


def test_a_rate_that_moves_is_refused():
    message = "schedule=optim.schedules.cosine: theorem 4.3 is about a constant rate$"
    with pytest.raises(BadInput, match=message):
        compose(["task=nonconvex", "optim=padam", "schedule=cosine"])
