"""Small problems of many trials: what they minimise, their noise, and what they count."""

import copy
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.optim import Adam

from optim import AdamAL
from tasks import ConvexExample, Nonconvex, OnlineConvex, Quadratic, Rosenbrock
from tasks.trials import BLOCK
from tasks.trials import rosenbrock as rosenbrock_value

CPU = torch.device("cpu")
META = torch.device("meta")
BUDGET = {
    "trials": 3,
    "steps": 20,
    "eval_every": 5,
    "seed": 0,
    "device": CPU,
    "root": Path("nowhere"),
}


def quadratic(**changes):
    usual = {"curvature": [1.0, 20.0], "noise": 0.2, "first": None}
    return Quadratic(**BUDGET | usual | changes)


def rosenbrock(**changes):
    return Rosenbrock(**BUDGET | {"noise": 0.1, "threshold": 0.1} | changes)


CONVEX = {"first": 0.75, "threshold": 0.1, "lr": 0.05, "box": None}


def convex_example(**changes):
    return ConvexExample(**BUDGET | CONVEX | changes)


def online_convex(**changes):
    functions = {"weights": [10.0, 1.0], "targets": [-1.0, 1.0], "odds": [1.0, 1.0]}
    method = {"lr": 0.05, "mu": 0.0, "nu": 0.9, "zeta": 0.9, "maximum": False}
    space = {"dimensions": 2, "diameter": 2.0}
    return OnlineConvex(**BUDGET | functions | method | space | changes)


def nonconvex(**changes):
    problem = {"dimensions": 2, "first": 1.5, "noise": 0.5, "scales": [1.0, 0.1], "odds": [1, 3]}
    method = {"lr": 0.05, "beta1": 0.0, "beta2": 0.9, "partial": None}
    constant = {"schedule": "optim.schedules.constant"}
    return Nonconvex(**BUDGET | problem | method | constant | changes)


every_task = pytest.mark.parametrize(
    "make", [quadratic, rosenbrock, convex_example, online_convex, nonconvex]
)


def adam(task, **settings):
    return Adam(task.model.parameters(), **{"lr": 0.05, "betas": (0.0, 0.9)} | settings)


def train(task, optimizer, steps):
    for step in steps:
        optimizer.zero_grad()
        task.loss(task.batch(step)).backward()
        optimizer.step()
        task.after_step(step)


def put(task, *places):
    """Set the parameters of all trials."""
    with torch.no_grad():
        task.model.theta.copy_(torch.tensor(places, dtype=torch.float64))


def gradient(task, batch):
    task.model.zero_grad()
    task.loss(batch).backward()
    return task.model.theta.grad


# -- what all have in common -----------------------------------------------------------------------


@every_task
def test_noise_is_fixed_by_seed_and_step_alone(make):
    steps = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK]
    task = make()
    wanted = {step: task.batch(step) for step in steps}
    torch.manual_seed(1)
    again = make()
    assert all(torch.equal(again.batch(step), wanted[step]) for step in reversed(steps))
    # One that begins in the middle, as a resumed run does.
    assert torch.equal(make().batch(BLOCK + 1), wanted[BLOCK + 1])


@every_task
def test_another_seed_or_step_has_other_noise(make):
    many = {"trials": 1000}
    drawn = [make(**many).batch(7), make(**many, seed=1).batch(7), make(**many).batch(7 + BLOCK)]
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@every_task
def test_every_trial_has_noise_of_its_own(make):
    drawn = torch.stack([make(trials=2).batch(step).double() for step in range(50)])
    assert not torch.equal(drawn[:, 0], drawn[:, 1])


@every_task
def test_no_trial_sees_another(make, device):
    alone, together = make(device=device), make(device=device)
    with torch.no_grad():
        together.model.theta[1:] += 0.5
    for task in (alone, together):
        train(task, adam(task), range(20))
    assert torch.equal(alone.theta[0], together.theta[0])
    assert not torch.equal(alone.theta[1:], together.theta[1:])


@every_task
def test_an_exact_resume_is_possible(make, device):
    make = partial(make, device=device)
    whole, first = make(trials=50), make(trials=50)
    train(whole, adam(whole), range(20))
    before = adam(first)
    train(first, before, range(12))
    saved = copy.deepcopy([first.model.state_dict(), before.state_dict(), first.state_dict()])
    second = make(trials=50)
    after = adam(second)
    for part, state in zip((second.model, after, second), saved, strict=True):
        part.load_state_dict(state)
    train(second, after, range(12, 20))
    found, wanted = second.evaluate(), whole.evaluate()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(torch.as_tensor(found[name]), torch.as_tensor(value)), name


@every_task
def test_metrics_have_a_value_for_each_trial_in_float64(make, device):
    task = make(trials=4, device=device)
    train(task, adam(task), range(1))
    found = [value for value in task.evaluate().values() if torch.is_tensor(value)]
    assert found
    assert all(value.shape == (4,) and value.dtype == torch.float64 for value in found)


@every_task
def test_on_the_meta_device_it_takes_no_memory(make):
    task = make(trials=10**9, device=META)
    assert task.model.theta.is_meta
    assert len(task.model.theta) == 10**9


@every_task
def test_evaluations_are_no_rarer_than_the_budget(make):
    assert make(steps=3, eval_every=100).eval_every == 3


def test_a_start_at_the_solution_is_refused():
    with pytest.raises(ValueError) as caught:
        convex_example(first=0.0)
    assert str(caught.value) == "task.first=0: there is nothing to do at the solution"


@every_task
def test_micro_batches_are_refused(make):
    task = make()
    with pytest.raises(ValueError) as caught:
        task.split(task.batch(0), 2)
    assert (
        str(caught.value)
        == "this task has no batch to cut into 2: it takes accumulate=1 and one process"
    )


# -- the quadratic ---------------------------------------------------------------------------------


def test_gradients_of_the_quadratic_are_those_of_equation_13():
    task = quadratic()
    h = torch.tensor([1.0, 20.0], dtype=torch.float64)
    for step in range(3):
        batch = task.batch(step)
        assert torch.equal(gradient(task, batch), h * (task.theta - batch))


def test_without_noise_the_loss_is_that_of_the_test():
    task = quadratic(noise=0.0)
    assert torch.equal(task.batch(0), torch.zeros(3, 2, dtype=torch.float64))
    assert task.loss(task.batch(0)).item() == pytest.approx(task.evaluate()["test/loss"].sum())


def test_the_quadratics_test_loss_is_without_noise():
    task = quadratic()
    put(task, [0.0, 0.0], [2.0, 0.0], [1.0, -3.0])
    assert task.evaluate()["test/loss"].tolist() == [0, 2, 0.5 + 90]


def test_a_path_is_that_of_the_first_trial():
    task = quadratic()
    put(task, [0.25, -0.5], [2.0, 0.0], [1.0, -3.0])
    assert (task.evaluate()["path/x"], task.evaluate()["path/y"]) == (0.25, -0.5)


def test_noise_of_the_quadratic_is_normal_with_standard_deviation_sigma():
    task = quadratic(trials=200, noise=0.2)
    drawn = torch.stack([task.batch(step) for step in range(BLOCK)])
    assert drawn.std().item() == pytest.approx(0.2, rel=0.01)
    assert abs(drawn.mean().item()) < 0.002
    # 68.3% of a normal distribution.
    assert (drawn.abs() < 0.2).double().mean().item() == pytest.approx(0.6827, abs=0.005)


def test_starts_are_normal_and_depend_on_the_seed_alone():
    start = quadratic(trials=20_000).theta
    assert start.std(0).tolist() == pytest.approx([1, 1], rel=0.03)
    assert start.mean(0).tolist() == pytest.approx([0, 0], abs=0.03)
    assert torch.equal(quadratic(trials=20_000, noise=1.0).theta, start)
    assert not torch.equal(quadratic(trials=20_000, seed=1).theta, start)


def test_a_start_that_is_given_is_that_of_all_trials():
    assert quadratic(first=[0.5, -2.0]).theta.tolist() == [[0.5, -2.0]] * 3


def test_a_start_of_another_length_is_refused():
    with pytest.raises(ValueError) as caught:
        quadratic(first=[1.0])
    assert str(caught.value) == "task.first=[1.0]: must be as long as task.curvature=[1.0, 20.0]"


# -- Rosenbrock ------------------------------------------------------------------------------------


def test_rosenbrocks_values_and_noise():
    task = rosenbrock()
    zero = torch.zeros(3, 2, dtype=torch.float64)
    put(task, [1.0, 1.0], [0.0, 0.0], [-1.0, 2.0])
    assert task.loss(zero).item() == 0 + 1 + (4 + 100)
    # Noise shifts the place: (0.5, 0.5) and (0.25, 0) are 25/4 + 1/4 and 9/16 + 100/256.
    put(task, [0.0, 0.5], [0.0, 0.0], [1.0, 1.0])
    shift = torch.tensor([[0.5, 0.0], [0.25, 0.0], [0.0, 0.0]], dtype=torch.float64)
    assert task.loss(shift).item() == 6.5 + 0.953125


def test_noise_of_rosenbrock_is_uniform_within_sigma():
    task = rosenbrock(trials=200, noise=0.1)
    drawn = torch.stack([task.batch(step) for step in range(BLOCK)])
    assert 0.0999 < drawn.abs().max() <= 0.1
    assert abs(drawn.mean().item()) < 0.001
    assert drawn.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.01)


def test_every_trial_of_rosenbrock_starts_at_the_origin():
    assert rosenbrock().theta.tolist() == [[0.0, 0.0]] * 3


def test_success_is_the_first_step_below_the_threshold():
    task = rosenbrock()
    for step, x in enumerate([0.0, 1.0, 0.0, 1.0]):
        put(task, [0.0, 0.0], [x, x], [1.0, 1.0 if step == 3 else 0.0])
        task.after_step(step)
    # The first trial never does and counts as the whole budget; the second keeps its first one.
    assert task.evaluate()["trials/success"].tolist() == [0, 1, 1]
    assert task.evaluate()["trials/steps_to_success"].tolist() == [20, 2, 4]


def test_success_before_a_resume_is_kept():
    first, second = rosenbrock(), rosenbrock()
    put(first, [0.0, 0.0], [1.0, 1.0], [0.0, 0.0])
    first.after_step(4)
    second.load_state_dict(first.state_dict())
    put(second, [0.0, 0.0], [0.0, 0.0], [1.0, 1.0])
    second.after_step(5)
    assert second.evaluate()["trials/success"].tolist() == [0, 1, 1]
    assert second.evaluate()["trials/steps_to_success"].tolist() == [20, 5, 6]


def test_the_threshold_itself_is_no_success():
    task = rosenbrock(threshold=1.0)
    task.after_step(0)
    assert task.evaluate()["trials/success"].tolist() == [0, 0, 0]


def test_it_is_done_when_all_have_succeeded():
    task = rosenbrock()
    put(task, [1.0, 1.0], [1.0, 1.0], [0.0, 0.0])
    task.after_step(0)
    task.evaluate()
    assert task.done is False
    put(task, [0.0, 0.0], [0.0, 0.0], [1.0, 1.0])
    task.after_step(1)
    task.evaluate()
    assert task.done is True


# -- the convex example ----------------------------------------------------------------------------

PLACES = [-3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0]


def eleven(i, theta):
    """ℓ_i and its derivative, copied from equation 11."""
    if abs(theta) <= 1:
        return (5.5 * theta**2, 11 * theta) if i == 1 else (-0.5 * theta**2, -theta)
    sign = 1 if theta > 0 else -1
    if i == 1:
        return 11 * abs(theta) - 5.5, 11 * sign
    return -abs(theta) + 0.5, -sign


@pytest.mark.parametrize("theta", PLACES)
@pytest.mark.parametrize("i", [1, 2])
def test_functions_of_the_convex_example_are_those_of_equation_11(theta, i):
    task = convex_example(trials=1)
    put(task, [theta])
    batch = torch.tensor([i == 1])
    value, slope = eleven(i, theta)
    assert task.loss(batch).item() == value
    assert gradient(task, batch).item() == slope


@pytest.mark.parametrize("theta", PLACES)
def test_the_convex_examples_test_loss_is_the_sum_of_the_eleven(theta):
    task = convex_example(trials=1)
    put(task, [theta])
    total = sum(eleven(i, theta)[0] for i in range(1, 12))
    assert task.evaluate()["test/loss"].item() == pytest.approx(total, abs=1e-12)


def test_each_of_the_eleven_is_drawn_as_often():
    task = convex_example(trials=1000)
    drawn = torch.stack([task.batch(step) for step in range(BLOCK)])
    # The standard error is 0.0004.
    assert drawn.double().mean().item() == pytest.approx(1 / 11, abs=0.0015)


def test_success_is_where_a_trial_ends():
    task = convex_example()
    put(task, [0.0999], [-0.1], [0.5])
    assert task.evaluate()["trials/success"].tolist() == [1, 0, 0]


def test_terms_of_the_bound_against_the_optimizers_state():
    task = convex_example(trials=40)
    optimizer = adam(task, eps=0.0)
    a = b = s2 = squares = left = least = falls = torch.zeros(40, dtype=torch.float64)
    before = None
    for step in range(12):
        train(task, optimizer, [step])
        state = optimizer.state[task.model.theta]
        v = state["exp_avg_sq"][:, 0] / (1 - 0.9 ** state["step"].item())
        rate, g = v.rsqrt(), task.model.theta.grad[:, 0]
        a, s2 = a + (g * rate).square(), s2 + rate
        # The eleven slopes: one is weighted by 11, ten by -1.
        slope = torch.where(task.batch(step), g / 11, -g)
        left = left + (slope / 11).square() * rate
        if before is not None:
            b, squares = b + (rate - before).abs(), squares + (rate - before).square()
            gamma = v.sqrt() - 1 / before
            least, falls = torch.minimum(least, gamma), falls + (gamma < 0)
        before = rate
    found = task.evaluate()
    wanted = {"term_a": a, "term_b": b, "s2": s2, "squares": squares, "left": left}
    wanted |= {"gamma_least": least, "gamma_negative": falls / 12}
    for name, value in wanted.items():
        torch.testing.assert_close(found[f"bound/{name}"], value, rtol=1e-9, atol=0)
    assert (b > 0).all() and (least < 0).any() and (falls < 11).any()


@pytest.mark.parametrize("make", [AdamAL, partial(Adam, amsgrad=True)])
def test_gamma_never_falls_where_v_does_not(make):
    task = convex_example(trials=40, lr=0.8)
    optimizer = make(task.model.parameters(), lr=0.8, betas=(0.0, 0.9))
    train(task, optimizer, range(500))
    found = task.evaluate()
    falls, least = found["bound/gamma_negative"], found["bound/gamma_least"]
    if make is AdamAL:
        assert (falls == 0).all() and (least == 0).all()
    else:  # by its bias correction, as long as 0.9^t is more than rounding
        assert (least < 0).all() and (falls * 500 < 200).all()


def test_a_step_to_the_edge_of_the_box_tells_nothing():
    free, boxed = (convex_example(trials=40, lr=0.8, box=box) for box in (None, (-1.0, 1.0)))
    for task in (free, boxed):
        project = task.box
        optimizer = AdamAL(task.model.parameters(), lr=0.8, betas=(0.0, 0.9), project=project)
        train(task, optimizer, range(200))
        assert (task.terms["s2"] > 0).all()
        assert (task.evaluate()["bound/gamma_negative"] == 0).all()
    assert boxed.theta.abs().max() <= 1 < free.theta.abs().max()


def test_terms_do_not_depend_on_the_learning_rate():
    """Outside of |θ| ≤ 1 the slope is that of the sign, so that the size of a step changes none."""
    tasks = [convex_example(first=50.0, lr=lr) for lr in (0.01, 0.02)]
    for task in tasks:
        train(task, adam(task, lr=task.lr), range(20))
    one, other = (task.evaluate() for task in tasks)
    for name in ("bound/term_a", "bound/term_b", "bound/s2"):
        torch.testing.assert_close(one[name], other[name], rtol=1e-9, atol=0)


def test_terms_with_the_learning_rate_against_the_steps():
    """By the displacements alone, which have lr in them: |θ after - θ before| / |g|."""
    task = convex_example(trials=40, lr=0.8)
    optimizer = adam(task, lr=0.8)
    a = b = s2 = torch.zeros(40, dtype=torch.float64)
    before = None
    for step in range(12):
        start = task.theta[:, 0].clone()
        train(task, optimizer, [step])
        moved = (task.theta[:, 0] - start).abs()
        size = moved / task.model.theta.grad[:, 0].abs()
        a, s2 = a + moved.square(), s2 + size
        b = b if before is None else b + (size - before).abs()
        before = size
    found = task.evaluate()
    for name, value in {"term_a": a, "term_b": b, "s2": s2}.items():
        torch.testing.assert_close(found[f"bound/{name}_with_lr"], value, rtol=1e-9, atol=0)
    assert not torch.allclose(found["bound/s2_with_lr"], found["bound/s2"])


def test_at_zero_the_rate_stays_what_it_was():
    task = convex_example()
    optimizer = adam(task)
    train(task, optimizer, range(3))
    before, rate = copy.deepcopy(task.terms), task.rate.clone()
    put(task, [0.0], [0.0], [0.0])
    train(task, optimizer, range(3, 5))
    assert torch.equal(task.rate, rate)
    assert torch.equal(task.terms["term_a"], before["term_a"])
    assert torch.equal(task.terms["term_b"], before["term_b"])
    torch.testing.assert_close(task.terms["s2"], before["s2"] + 2 * rate)


@pytest.mark.parametrize(("noise", "x", "value"), [(0.10, 0.43, 0.33), (0.117 / 2, 0.69, 0.10)])
def test_noise_moves_the_minimum_of_rosenbrocks_function_as_the_study_says(noise, x, value):
    found = 1 / (1 + 400 * noise**2 / 3)
    least = torch.tensor([found, found**2 + noise**2 / 3], dtype=torch.float64)
    assert found == pytest.approx(x, abs=0.005)
    assert rosenbrock_value(least).item() == pytest.approx(value, abs=0.005)
    theta = least.expand(200_000, 2).clone().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(theta.shape, generator=generator, dtype=torch.float64)
    rosenbrock_value(theta + noise * (2 * uniform - 1)).sum().backward()
    error = theta.grad.std(0) / len(theta) ** 0.5
    assert (theta.grad.mean(0).abs() < 4 * error).all()
