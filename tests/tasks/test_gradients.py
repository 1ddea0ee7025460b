"""Prescribed gradients: both optimizers see the same, and what is said of their difference."""

import functools
import io
from pathlib import Path

import pytest
import torch
from torch.optim import SGD, Adam

from engine.config import compose
from engine.make import make_task
from optim import LaProp, LpAdam, SignSGDM
from tasks import PrescribedGradients

CPU = torch.device("cpu")
LR = 0.5


def task(reference, settings=None, **changes):
    """A task whose reference is of the class `reference`."""
    usual = {
        "trials": 5,
        "steps": 20,
        "eval_every": 10,
        "seed": 0,
        "device": CPU,
        "root": Path("nowhere"),
        "scale": 1.0,
        "zeros": 0,
        "burn_in": 0,
        "dtype": "float64",
        "lr": LR,
        "reference": functools.partial(reference, **{"lr": LR} | (settings or {})),
    }
    return PrescribedGradients(**usual | changes)


def walk(made, optimizer, steps=None):
    for step in steps or range(made.steps):
        optimizer.zero_grad()
        made.loss(made.batch(step)).backward()
        optimizer.step()
        made.after_step(step)
    return made.evaluate()


def against(made, optimizer, **settings):
    """What the task says of an optimizer that has run over its whole budget."""
    return walk(made, optimizer(made.model.parameters(), **{"lr": LR} | settings))


# -- gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_optimizers_are_given_the_batch(dtype):
    made = task(SGD, dtype=dtype)
    optimizer = SGD(made.model.parameters(), LR)
    for step in range(3):
        walk(made, optimizer, [step])
        batch = made.batch(step)
        assert batch.dtype == made.theta.dtype == getattr(torch, dtype)
        assert torch.equal(made.model.theta.grad, batch)
        # The reference's is what float32 makes of it, in float64.
        assert made.twin.grad.dtype == torch.float64
        assert torch.equal(made.twin.grad, batch.double())
    assert torch.equal(made.twin, -LR * sum(made.batch(step).double() for step in range(3)))


def test_gradients_are_zeros_at_first_and_then_normal():
    made = task(SGD, trials=20_000, zeros=2, scale=1e-3)
    assert [made.batch(step).abs().max().item() for step in range(2)] == [0, 0]
    assert made.batch(2).std().item() == pytest.approx(1e-3, rel=0.03)
    assert abs(made.batch(2).mean().item()) < 3e-5
    # Zeros replace what would be drawn, and shift nothing.
    assert torch.equal(made.batch(2), task(SGD, trials=20_000, scale=1e-3).batch(2))


def test_a_scale_changes_all_gradients_by_a_factor():
    assert torch.equal(task(SGD, scale=0.25).batch(3), 0.25 * task(SGD).batch(3))


# -- the distance ----------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [Adam, LaProp, SignSGDM, LpAdam])
def test_an_optimizer_is_at_no_distance_from_itself(optimizer):
    assert against(task(optimizer), optimizer)["optim/distance"] == 0


def test_in_float32_an_optimizer_is_at_the_distance_of_its_rounding():
    found = against(task(Adam, dtype="float32", steps=200), Adam)
    assert 0 < found["optim/distance"] < 1e-5


def test_a_distance_is_a_share_of_the_references_displacement():
    assert against(task(SGD), SGD, lr=2 * LR)["optim/distance"] == 1
    assert against(task(SGD, {"lr": 4 * LR}), SGD)["optim/distance"] == 0.75


def test_a_distance_from_a_reference_that_stands_still():
    assert against(task(SGD, {"lr": 0.0}), SGD)["optim/distance"] == 1
    assert against(task(SGD, {"lr": 0.0}), SGD, lr=0.0)["optim/distance"] == 0


@pytest.mark.parametrize(("burn_in", "apart"), [(0, True), (3, True), (4, False), (10, False)])
def test_steps_of_the_burn_in_are_not_compared(burn_in, apart):
    """The two differ in the first four steps, of which a burn-in of three leaves one."""
    made = task(SGD, burn_in=burn_in)
    optimizer = SGD(made.model.parameters(), 1e6)
    walk(made, optimizer, range(4))
    optimizer.param_groups[0]["lr"] = LR
    found = walk(made, optimizer, range(4, made.steps))["optim/distance"]
    assert found > 1 if apart else found < 1e-6


@pytest.mark.parametrize("optimizer", [Adam, LaProp])
def test_with_both_betas_at_zero_it_is_signed_descent(optimizer):
    far, near = (
        against(task(SignSGDM, {"momentum": 0.0}), optimizer, betas=(b, b), eps=0.0)
        for b in (0.1, 0.0)
    )
    assert far["optim/distance"] > 0.01
    assert near["optim/distance"] < 1e-12
    assert near["optim/largest_step"] == pytest.approx(1, rel=1e-12)


# -- the largest step ------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1.2, 1.5, 2.0, 3.0, 6.0])
def test_the_largest_step_after_zeros_is_that_of_equation_6(p):
    # 0.8^200 is 4e-20: the bias corrections are over.
    made = task(LpAdam, zeros=200, steps=201)
    found = against(made, LpAdam, p=p, betas=(0.5, 0.8), eps=1e-15)
    assert found["optim/largest_step"] == pytest.approx(0.5 / 0.2 ** (1 / p), rel=1e-9)


def test_the_largest_step_is_that_of_all_steps_and_elements_in_units_of_lr():
    made = task(SGD)
    largest = max(made.batch(step).abs().max().item() for step in range(made.steps))
    assert against(made, SGD)["optim/largest_step"] == pytest.approx(largest, rel=1e-12)


# -- steps without a gradient ----------------------------------------------------------------------


@pytest.mark.parametrize("p", [1.0, 1.2, 2.0, 6.0])
def test_steps_without_gradients_fall_by_the_factor_of_equation_9(p):
    made = task(LpAdam, steps=210, zeros_after=200)
    ratio = against(made, LpAdam, p=p, betas=(0.5, 0.8), eps=0)["optim/step_ratio"]
    assert ratio.tolist() == pytest.approx([0.5 / 0.8 ** (1 / p)] * 5, rel=1e-9)


def test_the_ratio_of_steps_is_that_of_the_last_two():
    made = task(SGD, steps=8, zeros_after=7)
    gradients = [made.batch(step)[:, 0].abs() for step in range(7)]
    assert walk(made, SGD(made.model.parameters(), LR), range(7))["optim/step_ratio"].tolist() == (
        pytest.approx((gradients[6] / gradients[5]).tolist(), rel=1e-9)
    )
    assert "optim/step_ratio" not in task(SGD).evaluate()
    # A step of no length is followed by none that has a ratio.
    made = task(SGD, steps=8, zeros=7, zeros_after=8)
    assert against(made, SGD)["optim/step_ratio"].tolist() == [0.0] * 5


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("burn_in", [20, 21])
def test_a_burn_in_that_leaves_no_step_is_refused(burn_in):
    with pytest.raises(ValueError) as caught:
        task(SGD, burn_in=burn_in)
    assert str(caught.value) == f"task.burn_in={burn_in}: must be less than task.steps=20"


def test_the_reference_is_any_optimizer_that_there_is():
    assert compose(["task=gradients", "optim=laprop"])["task"]["reference"]["_target_"] == (
        "torch.optim.Adam"
    )
    chosen = ["optim@task.reference=sign_sgdm", "task.reference.momentum=0.25"]
    config = compose(["task=gradients", "optim=laprop", "optim.lr=0.125", *chosen])
    made = make_task(config, CPU)
    assert isinstance(made.reference, SignSGDM)
    [group] = made.reference.param_groups
    assert (group["lr"], group["momentum"], made.lr) == (0.125, 0.25, 0.125)
    assert group["params"][0] is made.twin


# -- resume ----------------------------------------------------------------------------------------


def test_a_resumed_one_goes_on_bit_for_bit():
    def make():
        settings = {"burn_in": 5, "dtype": "float32", "trials": 30, "zeros_after": 18}
        made = task(LpAdam, {"p": 6.0}, **settings)
        return made, LpAdam(made.model.parameters(), LR, p=6.0, form="power")

    (whole, uninterrupted), (first, before), (second, after) = make(), make(), make()
    wanted = walk(whole, uninterrupted)
    walk(first, before, range(12))
    file = io.BytesIO()
    torch.save([made.state_dict() for made in (first.model, before, first)], file)
    file.seek(0)
    for part, state in zip((second.model, after, second), torch.load(file), strict=True):
        part.load_state_dict(state)
    found = walk(second, after, range(12, 20))
    assert torch.equal(found.pop("optim/step_ratio"), wanted.pop("optim/step_ratio"))
    assert found == wanted
    assert torch.equal(second.twin, whole.twin)
    assert torch.equal(second.theta, whole.theta)
    assert wanted["optim/distance"] > 0
