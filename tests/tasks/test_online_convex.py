"""Online convex optimisation: its functions, the regret, and LaProp's theorem 1 as printed."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from test_trials import CPU, gradient, put

from engine.checks import BadInput
from engine.config import compose
from engine.make import check_classes
from optim import LaProp, schedules
from tasks import OnlineConvex

BUDGET = {"trials": 3, "steps": 40, "eval_every": 5, "seed": 0, "root": Path("nowhere")}
FUNCTIONS = {
    "all of size 1": {"weights": [1.0, 1.0], "targets": [-0.8, 0.3], "odds": [2, 3]},
    "sparse": {"weights": [1.0, 0.0], "targets": [0.5, 0.0], "odds": [1, 9]},
    "rare large ones": {"weights": [10.0, 1.0], "targets": [-1.0, 1.0], "odds": [12, 88]},
}
METHOD = {"lr": 0.5, "mu": 0.9, "nu": 0.9, "zeta": 0.9}


def online_convex(functions="rare large ones", *, device=CPU, **changes):
    usual = {"dimensions": 2, "diameter": 2.0, "maximum": False, **METHOD, **FUNCTIONS[functions]}
    return OnlineConvex(device=device, **BUDGET | usual | changes)


def follow(task, **settings):
    """Train with LaProp as theorem 1 has it; yield after each step."""
    optimizer = LaProp(task.model.parameters(), lr=task.lr, betas=(task.mu, task.nu), **settings)
    schedule = schedules.online(optimizer, task.steps, zeta=task.zeta)
    for step in range(task.steps):
        optimizer.zero_grad()
        task.loss(task.batch(step)).backward()
        optimizer.step()
        task.after_step(step)
        schedule.step()
        yield step + 1


def test_a_rounds_function_is_the_one_that_was_drawn():
    task = online_convex(weights=[10.0, 1.0], targets=[-1.0, 0.5])
    put(task, [0.5, 0.25], [0.0, 1.0], [-1.0, -1.0])
    batch = torch.tensor([[0, 1], [1, 1], [0, 1]])
    # 10·1.5 + 0.25, 0.5 + 0.5, 0 + 1.5
    assert task.loss(batch).item() == 15.25 + 1.0 + 1.5
    assert gradient(task, batch).tolist() == [[10, -1], [-1, 1], [0, -1]]


def test_functions_are_drawn_by_their_odds():
    task = online_convex(trials=1000, odds=[1, 3])
    drawn = torch.stack([task.batch(step) for step in range(100)])
    # The standard error is 0.001.
    assert drawn.double().mean().item() == pytest.approx(0.75, abs=0.004)


def test_points_are_projected_onto_the_box():
    task = online_convex(diameter=1.0)
    task.loss(task.batch(0))
    put(task, [0.75, -0.25], [-9.0, 0.5], [0.0, 0.0])
    task.after_step(0)
    assert task.theta.tolist() == [[0.5, -0.25], [-0.5, 0.5], [0.0, 0.0]]


@pytest.mark.parametrize("functions", FUNCTIONS)
@pytest.mark.parametrize("diameter", [1.0, 2.0])
def test_regret_is_against_the_best_of_a_fine_grid(functions, diameter):
    task = online_convex(functions, diameter=diameter)
    paid, batches = torch.zeros(3, dtype=torch.float64), []
    steps = follow(task)
    for step in range(task.steps):
        batches.append(task.batch(step))
        place = task.theta.clone()
        distance = (place - task.targets[batches[-1]]).abs()
        paid += (task.weights[batches[-1]] * distance).sum(1)
        next(steps)
    places = torch.linspace(-diameter / 2, diameter / 2, 1001, dtype=torch.float64)
    drawn = torch.stack(batches)[..., None]
    losses = (task.weights[drawn] * (places - task.targets[drawn]).abs()).sum(0)
    wanted = paid - losses.amin(2).sum(1)
    found = task.evaluate()
    torch.testing.assert_close(found["regret/average"] * task.steps, wanted, rtol=0, atol=1e-9)
    torch.testing.assert_close(found["regret/root"] * task.steps**0.5, wanted, rtol=0, atol=1e-9)
    assert found["regret/rounds"] == task.steps


@pytest.mark.parametrize("maximum", [False, True])
def test_bounds_are_those_of_the_theorem(maximum):
    """Equations 9 and 25 and the worst case, term by term, of one trial."""
    task = online_convex("rare large ones", trials=1, maximum=maximum, nu=0.5)
    gradients = []
    for step, _ in enumerate(follow(task)):
        gradients.append(task.weights[task.batch(step)] * task._round[2].sign())
    g = torch.stack(gradients)[:, 0]
    lam, mu, nu, zeta, D, d, T = 0.5, 0.9, 0.5, 0.9, 2.0, 2, task.steps
    s, held, n = [], 0, torch.zeros(d, dtype=torch.float64)
    for t in range(1, T + 1):
        n = nu * n + (1 - nu) * g[t - 1] ** 2
        now = (n / (1 - nu**t)).sqrt()
        s.append(torch.maximum(now, s[-1]) if maximum and s else now)
        if t > 1:
            held += (s[-1] * t**0.5 >= s[-2] * (t - 1) ** 0.5).double().mean().item()
    first = D**2 * T**0.5 / (2 * lam * (1 - mu)) * s[-1].sum()
    second = mu * d * D**2 * 10 / (2 * lam * (1 - mu) * (1 - zeta) ** 2)
    norms = g.square().sum(0).sqrt().sum()
    third = lam * (1 + math.log(T)) ** 0.5 / ((1 - mu) * (1 - nu) * (1 - nu) ** 0.5) * norms
    worst = 2 * lam * d * 10 * T**0.5 / ((1 - mu) * (1 - nu))
    found = task.evaluate()
    assert found["regret/bound"].item() == pytest.approx(((first + second + third) / T).item())
    assert found["regret/worst_bound"].item() == pytest.approx(
        ((first + second + worst) / T).item()
    )
    total = sum((each / t**0.5).sum().item() for t, each in enumerate(s, 1))
    assert found["regret/sum"].item() == pytest.approx(total)
    wanted = (((1 + math.log(T)) / (1 - nu)) ** 0.5 * norms).item()
    assert found["regret/sum_bound"].item() == pytest.approx(wanted)
    # Of the first step there is nothing to say: it counts as held.
    assert found["regret/assumption"].item() == pytest.approx((held + 1) / T)
    assert (held + 1) / T < 0.9 or maximum


every_function = pytest.mark.parametrize("functions", FUNCTIONS)
every_nu = pytest.mark.parametrize("nu", [0.0, 0.5, 0.9])


@every_nu
def test_theorem_1_holds_after_every_round(nu):
    task = online_convex("all of size 1", nu=nu, steps=200)
    for _ in follow(task):
        found = task.evaluate()
        assert (found["regret/assumption"] == 1).all()
        assert (found["regret/average"] <= found["regret/bound"]).all()
        assert (found["regret/average"] <= found["regret/worst_bound"]).all()


@every_function
@every_nu
def test_equation_25_holds_with_or_without_the_assumption(functions, nu):
    task = online_convex(functions, nu=nu, steps=200)
    for _ in follow(task):
        found = task.evaluate()
        assert (found["regret/sum"] <= found["regret/sum_bound"] * (1 + 1e-12)).all()
    assert functions == "all of size 1" or (found["regret/assumption"] < 1).any()


@every_function
@every_nu
def test_with_the_maximum_the_worst_case_is_a_bound(functions, nu):
    """Then the assumption always holds."""
    task = online_convex(functions, nu=nu, maximum=True, steps=200)
    for _ in follow(task, amsgrad="corrected"):
        found = task.evaluate()
        assert (found["regret/assumption"] == 1).all()
        assert (found["regret/average"] <= found["regret/worst_bound"]).all()


def test_with_the_maximum_equation_25_is_none():
    """It holds of averages: a maximum stays when the gradients are 0."""
    task = online_convex("sparse", nu=0.0, maximum=True, steps=200)
    *_, _ = follow(task, amsgrad="corrected")
    found = task.evaluate()
    assert (found["regret/sum"] > found["regret/sum_bound"]).any()


def test_the_update_of_the_proof_is_bounded_as_well():
    """Equation 17 multiplies by λ_t after averaging, where the listings do before."""
    lam, mu, nu, zeta, D, d = 0.5, 0.9, 0.9, 0.9, 2.0, 2
    task = online_convex("rare large ones", nu=nu, maximum=True, steps=300)
    m = n = s = torch.zeros(3, d, dtype=torch.float64)
    weight = 1.0
    for t in range(1, task.steps + 1):
        g = gradient(task, task.batch(t - 1))
        mu_t = mu * zeta ** (t - 1)
        n = nu * n + (1 - nu) * g**2
        s = torch.maximum(s, (n / (1 - nu**t)).sqrt())
        m = mu_t * m + (1 - mu_t) * g / s
        weight *= mu_t
        assert (m.abs() / (1 - weight) <= (1 + 1e-9) / (1 - nu) ** 0.5).all()
        with torch.no_grad():
            task.model.theta -= lam / t**0.5 * m / (1 - weight)
        task.after_step(t - 1)
        assert (task.evaluate()["regret/average"] <= task.evaluate()["regret/worst_bound"]).all()
    assert task.theta.abs().max() <= D / 2


def test_the_average_regret_falls_as_one_over_the_root_of_t():
    roots = {}
    task = online_convex("all of size 1", trials=50, steps=3200)
    for t in follow(task):
        if t in (200, 800, 3200):
            roots[t] = task.evaluate()["regret/root"].mean().item()
    for early, late in itertools.pairwise(roots.values()):
        assert 0 < late < 1.25 * early


@pytest.mark.parametrize("missing", ["lr", "mu", "nu", "zeta"])
def test_without_its_numbers_the_theorem_says_nothing(missing):
    task = online_convex(**{missing: None})
    task.loss(task.batch(0))
    task.after_step(0)
    assert task.evaluate().keys() == {"regret/rounds", "regret/average", "regret/root"}


def test_momentum_that_does_not_decay_is_not_the_theorems():
    task = online_convex(zeta=1.0)
    task.loss(task.batch(0))
    task.after_step(0)
    assert "regret/bound" not in task.evaluate()


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["optim=laprop", "schedule=online"], (4e-4, 0.9, 0.999, 0.99)),
        (["optim=laprop"], (4e-4, 0.9, 0.999, None)),
        (["optim=sgd"], (0.1, None, None, None)),
    ],
)
def test_the_methods_numbers_are_the_runs(typed, wanted):
    task = compose(["task=online_convex", *typed])["task"]
    assert tuple(task[name] for name in ("lr", "mu", "nu", "zeta")) == wanted


def test_a_method_with_two_betas_for_its_average_has_no_bound():
    task = compose(["task=online_convex", "optim=madam"])["task"]
    assert task["nu"] == [0.5, 0.999]
    task = online_convex(nu=[0.5, 0.999])
    task.loss(task.batch(0)).backward()
    task.after_step(0)
    assert not {"regret/bound", "regret/sum"} & task.evaluate().keys()


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            "task.targets=[0.5]",
            "task.targets=[0.5]: must be as long as task.weights=[1.0, 1.0, 1.0]",
        ),
        ("task.odds=[1]", "task.odds=[1]: must be as long as task.weights=[1.0, 1.0, 1.0]"),
    ],
)
def test_functions_of_other_lengths_are_refused(typed, message):
    with pytest.raises(BadInput) as caught:
        check_classes(compose(["task=online_convex", "optim=laprop", typed]))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (f"task.{name}={value}", "a list of numbers, 0 or above, and one of them above 0")
        for name in ("weights", "odds")
        for value in ("[]", "[0,0,0]", "[1,-1,1]")
    ]
    + [
        ("task.mu=1.0", "a number from 0 on and below 1, or null"),
        ("task.zeta=1.5", "a number from 0 to 1, or null"),
    ],
)
def test_what_it_refuses(typed, message):
    with pytest.raises(BadInput) as caught:
        compose(["task=online_convex", "optim=laprop", typed])
    assert str(caught.value).startswith("task.") and str(caught.value).endswith(
        f"must be {message}"
    )
